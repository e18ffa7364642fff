//! What must hold of the storage at any time; run by try-runtime and after each test.

use crate::{
	Config, Credits, Escrows, HoldReason, LastJoin, Limits, Operators, Outcomes, Pallet, Sessions, Status,
	StreamInfo, PPM,
};
use alloc::collections::BTreeMap;
use frame_support::{
	ensure,
	traits::{
		fungible::{Inspect, InspectHold},
		Get,
	},
};
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
	/// Check the storage: escrows and bonds are on hold, credit is in the pot, counts agree.
	pub fn do_try_state() -> Result<(), DispatchError> {
		Self::check_holds()?;
		Self::check_credits()?;
		Self::check_sessions()?;
		Self::check_streams()?;
		Self::check_outcomes()
	}

	fn check_holds() -> Result<(), DispatchError> {
		let mut escrows = BTreeMap::<T::AccountId, u128>::new();
		for (_, viewer, escrow) in Escrows::<T>::iter() {
			let asked = escrow.withdrawal.map_or(1, |one| one.amount);
			ensure!(asked > 0, "a withdrawal of 0 is stored");
			let sum = escrows.entry(viewer).or_default();
			*sum = sum.checked_add(escrow.held).ok_or("escrows overflow")?;
		}
		for (viewer, held) in escrows {
			let on_hold = T::Currency::balance_on_hold(&HoldReason::TickEscrow.into(), &viewer);
			ensure!(on_hold == held, "a viewer's escrows are not what is on hold");
		}
		for (who, operator) in Operators::<T>::iter() {
			let on_hold = T::Currency::balance_on_hold(&HoldReason::OperatorBond.into(), &who);
			ensure!(
				on_hold == operator.bond,
				"an operator's bond is not what is on hold"
			);
			let leaving = operator.active && operator.released_at.is_some();
			ensure!(!leaving, "an operator is active and deregistered");
			ensure!(
				operator.bond > 0 || !operator.active,
				"an operator is active without a bond"
			);
		}
		Ok(())
	}

	fn check_credits() -> Result<(), DispatchError> {
		let sum = Credits::<T>::iter_values()
			.try_fold(0u128, |sum, one| sum.checked_add(one.total()))
			.ok_or("credits overflow")?;
		ensure!(
			sum <= T::Currency::balance(&Self::pot()),
			"credits are more than the pot"
		);
		Ok(())
	}

	fn check_sessions() -> Result<(), DispatchError> {
		let mut stored = BTreeMap::<u128, u32>::new();
		for ((stream, viewer, join), session) in Sessions::<T>::iter() {
			let ticks = session
				.by_price
				.iter()
				.try_fold(0u64, |sum, one| sum.checked_add(one.1));
			ensure!(
				ticks == Some(session.ticks),
				"a session's ticks are not those of its versions"
			);
			let lived = session.expires_at.saturating_sub(session.joined_at);
			ensure!(
				session.ticks <= Self::ticks_allowed(lived),
				"a session has too many ticks"
			);
			ensure!(
				session.amount <= session.max_spend,
				"a session spent more than its cap"
			);
			let highest = u128::from(session.ticks).saturating_mul(session.max_price);
			ensure!(
				session.amount <= highest,
				"a session paid more than its price cap"
			);
			let last = LastJoin::<T>::get(stream, &viewer);
			ensure!(
				join >= 1 && join <= last,
				"a session is not among its viewer's joins"
			);
			ensure!(
				StreamInfo::<T>::contains_key(stream),
				"a session's stream is missing"
			);
			*stored.entry(stream).or_default() += 1;
		}
		for (id, stream) in StreamInfo::<T>::iter() {
			let found = stored.get(&id).copied().unwrap_or_default();
			ensure!(stream.viewers == found, "a stream's viewers are not its sessions");
			ensure!(
				found <= T::MaxViewersPerStream::get(),
				"a stream has too many sessions"
			);
		}
		for (_, limit) in Limits::<T>::iter() {
			let most = T::MaxJoinDuration::get();
			ensure!(
				limit.duration > 0 && limit.duration <= most,
				"a limit's duration is out of range"
			);
		}
		Ok(())
	}

	fn check_streams() -> Result<(), DispatchError> {
		for (_, stream) in StreamInfo::<T>::iter() {
			ensure!(!stream.prices.is_empty(), "a stream has no price");
			let rising = stream
				.prices
				.windows(2)
				.all(|pair| pair[1].number == pair[0].number + 1 && pair[1].from > pair[0].from);
			ensure!(rising, "a stream's prices are not in order");
			let sum: u64 = stream.splits.iter().map(|one| u64::from(one.ppm)).sum();
			ensure!(sum <= PPM.into(), "a stream's splits are more than the whole");
			let closed = stream.status == Status::Closed;
			ensure!(closed == stream.closed_at.is_some(), "a stream is half closed");
			ensure!(
				Operators::<T>::contains_key(&stream.operator),
				"a stream's operator is missing"
			);
		}
		Ok(())
	}

	fn check_outcomes() -> Result<(), DispatchError> {
		let kept = u64::from(T::OutcomesKept::get());
		for (who, seq, outcome) in Outcomes::<T>::iter() {
			let last = Operators::<T>::get(who).map_or(0, |one| one.last_seq);
			ensure!(seq <= last && seq + kept > last, "an outcome is outside the ring");
			ensure!(
				outcome.refused.len() as u32 <= outcome.entries,
				"an outcome refuses too many"
			);
		}
		Ok(())
	}
}
