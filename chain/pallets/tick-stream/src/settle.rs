//! `settle`: a batch of cumulative entries, each one settled or refused with a reason.

use crate::{
	credit, Config, Entry, Error, Escrows, Event, HoldReason, Operators, Outcome, Outcomes, Pallet, Refusal,
	Sessions, Stream, StreamInfo, TickCount, WeightInfo, PPM,
};
use alloc::collections::BTreeMap;
use codec::Encode;
use frame_support::{
	ensure,
	pallet_prelude::{DispatchError, Weight},
	traits::{
		fungible::{Unbalanced, UnbalancedHold},
		tokens::Precision,
		Get,
	},
	BoundedVec,
};
use sp_core::H256;
use sp_io::hashing::blake2_256;
use sp_runtime::SaturatedConversion;

/// The rate check is in every runtime. Only this crate's own unit tests can be built without it, to
/// prove that the adversary's test turns red: `cargo test --features sabotage-rate`.
const RATE_CHECK: bool = !cfg!(all(test, feature = "sabotage-rate"));

/// The stream that entries are being settled for, with what is not written yet.
struct Turn<T: Config> {
	id: u128,
	/// None: there is no such stream.
	info: Option<Stream<T>>,
	/// Ticks to add to `TickCount`.
	ticks: u64,
	/// Something was settled: it must be written.
	changed: bool,
}

/// A batch under way. What entries of the same stream, payees and the pot share is written once.
struct Batch<'a, T: Config> {
	operator: &'a T::AccountId,
	now: u64,
	turn: Option<Turn<T>>,
	earned: BTreeMap<T::AccountId, u128>,
	ticks: u64,
	amount: u128,
	/// Entries that settled ticks, and streams written for them.
	settled: u32,
	streams: u32,
}

impl<T: Config> Batch<'_, T> {
	/// Settle one entry: checked first, then written, so that a refused one leaves nothing behind.
	fn settle(&mut self, entry: &Entry<T::AccountId>) -> Result<(), Refusal> {
		if self.turn.as_ref().map(|turn| turn.id) != Some(entry.stream) {
			self.finish_stream();
			let info = StreamInfo::<T>::get(entry.stream);
			self.turn = Some(Turn {
				id: entry.stream,
				info,
				ticks: 0,
				changed: false,
			});
		}
		let turn = self.turn.as_mut().ok_or(Refusal::NoStream)?;
		let stream = turn.info.as_mut().ok_or(Refusal::NoStream)?;
		ensure!(stream.operator == *self.operator, Refusal::NotOperator);

		let key = (entry.stream, &entry.viewer, entry.join);
		let mut session = Sessions::<T>::get(key).ok_or(Refusal::NoSession)?;
		let place = session
			.by_price
			.iter()
			.position(|(version, _)| *version == entry.version);
		let stored = place.map_or(0, |at| session.by_price[at].1);
		if entry.ticks <= stored {
			return Ok(());
		}
		let version = stream.price(entry.version).ok_or(Refusal::NoPrice)?;
		ensure!(version.from <= self.now, Refusal::PriceNotYet);
		let price = version.price;
		ensure!(price <= session.max_price, Refusal::PriceAboveCap);
		let room = session.by_price.len() < T::MaxSessionPrices::get() as usize;
		ensure!(place.is_some() || room, Refusal::TooManyPrices);
		let end = session.end(stream.closed_at);
		ensure!(
			self.now <= end.saturating_add(T::WithdrawNotice::get()),
			Refusal::Ended
		);

		let ticks = entry.ticks - stored;
		let session_ticks = session.ticks.checked_add(ticks).ok_or(Refusal::Overflow)?;
		let elapsed = self.now.min(end).saturating_sub(session.joined_at);
		ensure!(
			!RATE_CHECK || session_ticks <= Pallet::<T>::ticks_allowed(elapsed),
			Refusal::TooFast
		);

		let cost = price.checked_mul(ticks.into()).ok_or(Refusal::Overflow)?;
		let session_amount = session.amount.checked_add(cost).ok_or(Refusal::Overflow)?;
		ensure!(session_amount <= session.max_spend, Refusal::SpendCap);
		// Both factors and products below are bounded by session_amount, which fits.
		let before = price.saturating_mul(stored.into());
		let after = before.saturating_add(cost);
		let total_ticks = stream.total_ticks.checked_add(ticks).ok_or(Refusal::Overflow)?;
		let total_amount = stream.total_amount.checked_add(cost).ok_or(Refusal::Overflow)?;

		match place {
			Some(at) => session.by_price[at].1 = entry.ticks,
			// There is room: checked above.
			None => session
				.by_price
				.try_push((entry.version, entry.ticks))
				.map_err(|_| Refusal::TooManyPrices)?,
		}
		session.ticks = session_ticks;
		session.amount = session_amount;
		if cost > 0 {
			let mut escrow = Escrows::<T>::get(self.operator, &entry.viewer);
			escrow.held = escrow.held.checked_sub(cost).ok_or(Refusal::Escrow)?;
			// Checks before it writes, and the hold is at least all escrows of the viewer.
			T::Currency::decrease_balance_on_hold(
				&HoldReason::TickEscrow.into(),
				&entry.viewer,
				cost,
				Precision::Exact,
			)
			.map_err(|_| Refusal::Escrow)?;
			Escrows::<T>::insert(self.operator, &entry.viewer, escrow);
		}
		Sessions::<T>::insert(key, session);

		let (parts, rest) = credit::divide(&stream.splits, before, after);
		for (one, part) in stream.splits.iter().zip(parts) {
			add(&mut self.earned, &one.account, part);
		}
		add(&mut self.earned, &stream.creator, rest);
		stream.total_ticks = total_ticks;
		stream.total_amount = total_amount;
		// Sums of amounts that were on hold and of ticks within total_ticks: they fit.
		turn.ticks = turn.ticks.saturating_add(ticks);
		turn.changed = true;
		self.ticks = self.ticks.saturating_add(ticks);
		self.amount = self.amount.saturating_add(cost);
		self.settled += 1;
		Ok(())
	}

	/// Write what the entries of one stream changed.
	fn finish_stream(&mut self) {
		let Some(Turn {
			id,
			info: Some(stream),
			ticks,
			changed: true,
		}) = self.turn.take()
		else {
			return;
		};
		StreamInfo::<T>::insert(id, stream);
		Pallet::<T>::count_ticks(id, ticks.saturated_into());
		self.streams += 1;
	}
}

/// Add to what an account earns in this batch; 0 makes no row.
fn add<AccountId: Clone + Ord>(earned: &mut BTreeMap<AccountId, u128>, who: &AccountId, amount: u128) {
	if amount == 0 {
		return;
	}
	let sum = earned.entry(who.clone()).or_default();
	*sum = sum.saturating_add(amount);
}

impl<T: Config> Pallet<T> {
	/// How many ticks a join may have after `elapsed` seconds: `TickBurst + floor(rate * elapsed)`.
	pub fn ticks_allowed(elapsed: u64) -> u64 {
		let rate = u128::from(T::TickRatePpm::get());
		let grown = u128::from(elapsed) * rate / u128::from(PPM);
		T::TickBurst::get().saturating_add(grown.saturated_into())
	}

	/// Add to the platform's count of ticks, which stops at the end of a u32.
	pub(crate) fn count_ticks(stream: u128, ticks: u32) {
		TickCount::<T>::mutate(stream, |count| *count = count.saturating_add(ticks));
	}

	/// How often the stream changes from one entry to the next: at most that many are written.
	pub(crate) fn streams_of(entries: &[Entry<T::AccountId>]) -> u32 {
		let changes = entries
			.windows(2)
			.filter(|pair| pair[0].stream != pair[1].stream)
			.count();
		(changes + usize::from(!entries.is_empty())).saturated_into()
	}

	/// Weight of a batch whose entries are all settled, for so many streams with full split tables.
	pub(crate) fn settle_weight(entries: u32, streams: u32) -> Weight {
		let each = T::WeightInfo::settle(streams);
		let together = T::WeightInfo::settle_same_stream(streams);
		T::WeightInfo::settle_same_stream(entries)
			.saturating_add(each.saturating_sub(together))
			.min(T::WeightInfo::settle(entries))
	}

	/// Settle a batch of an operator and return its actual weight.
	pub(crate) fn do_settle(
		who: T::AccountId,
		seq: u64,
		hash: H256,
		entries: BoundedVec<Entry<T::AccountId>, T::MaxEntries>,
	) -> Result<Weight, DispatchError> {
		let mut operator = Self::active_operator(&who)?;
		ensure!(seq > operator.last_seq, Error::<T>::AlreadySettled);
		ensure!(
			operator.last_seq.checked_add(1) == Some(seq),
			Error::<T>::SequenceGap
		);
		ensure!(
			hash.0 == entries.using_encoded(blake2_256),
			Error::<T>::HashMismatch
		);
		let most = Self::settle_weight(entries.len() as u32, Self::streams_of(&entries));

		let now = Self::now();
		let mut batch = Batch::<T> {
			operator: &who,
			now,
			turn: None,
			earned: BTreeMap::new(),
			ticks: 0,
			amount: 0,
			settled: 0,
			streams: 0,
		};
		let mut refused = BoundedVec::new();
		for (index, entry) in entries.iter().enumerate() {
			if let Err(reason) = batch.settle(entry) {
				let index = index as u32;
				Self::deposit_event(Event::EntryRefused {
					operator: who.clone(),
					seq,
					index,
					reason,
				});
				// As many at most as there are entries, which are bounded alike.
				let _ = refused.try_push((index, reason));
			}
		}
		batch.finish_stream();
		let Batch {
			earned,
			ticks,
			amount,
			settled,
			streams,
			..
		} = batch;
		for (payee, part) in &earned {
			Self::earn(payee, *part, now);
		}
		if amount > 0 {
			T::Currency::increase_balance(&Self::pot(), amount, Precision::Exact)?;
		}

		operator.last_seq = seq;
		operator.last_hash = hash;
		Operators::<T>::insert(&who, operator);
		let block = frame_system::Pallet::<T>::block_number().saturated_into();
		let count = entries.len() as u32;
		let refusals = refused.len() as u32;
		Outcomes::<T>::insert(
			&who,
			seq,
			Outcome {
				hash,
				entries: count,
				ticks,
				amount,
				block,
				refused,
			},
		);
		if let Some(old) = seq.checked_sub(T::OutcomesKept::get().into()) {
			Outcomes::<T>::remove(&who, old);
		}
		Self::deposit_event(Event::BatchSettled {
			operator: who,
			seq,
			hash,
			entries: count,
			refused: refusals,
			ticks,
			amount,
		});
		let rest = count - settled;
		let mut actual = Self::settle_weight(settled, streams);
		if rest > 0 {
			actual.saturating_accrue(T::WeightInfo::settle_refused(rest));
		}
		Ok(actual.min(most))
	}
}
