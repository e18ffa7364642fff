//! # TickStream
//!
//! Seconds watched (ticks), reported by a stream's operator in batches of cumulative entries, become
//! money that moves exactly once: out of the viewer's escrow into a pot, and from there to the creator
//! and whoever shares the earnings.
//!
//! The chain trusts the operator's key within limits only. For one join of a viewer it takes at most
//! `TickBurst + TickRatePpm / 10^6 * elapsed seconds` ticks, each at no more than the price that the
//! viewer agreed to, together no more than the viewer agreed to spend and no more than is in escrow
//! with this operator. Escrow leaves after `WithdrawNotice` without the operator's help.
//!
//! Time is that of pallet-timestamp (any [`UnixTime`](frame_support::traits::UnixTime)) in whole
//! seconds. Amounts are in the currency's smallest unit.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs)]

extern crate alloc;

mod credit;
mod settle;
mod types;
pub mod weights;

pub use credit::{divide, share};
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// Balance of the currency, in its smallest unit.
pub type Balance = u128;

#[frame_support::pallet]
pub mod pallet {
	use super::*;
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{Inspect, Mutate, MutateHold},
			tokens::{DepositConsequence, Precision, Preservation, Provenance},
			UnixTime,
		},
		PalletId,
	};
	use frame_system::pallet_prelude::*;
	use sp_core::H256;
	use sp_runtime::traits::AccountIdConversion;

	/// Layout of storage: 0 is the platform's old pallet, 1 is this one.
	pub(crate) const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

	/// The pallet.
	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	/// Why the pallet has planck of an account on hold.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// A viewer's escrow, for all operators together.
		TickEscrow,
		/// An operator's bond.
		OperatorBond,
	}

	/// What the runtime gives the pallet. Durations are in seconds, amounts in planck.
	#[pallet::config]
	pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
		/// The runtime's reasons for holds.
		type RuntimeHoldReason: From<HoldReason>;
		/// The money.
		type Currency: Inspect<Self::AccountId, Balance = Balance>
			+ Mutate<Self::AccountId>
			+ MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>;
		/// The clock, e.g. pallet-timestamp.
		type Time: UnixTime;
		/// Who may switch an operator off and on.
		type ForceOrigin: EnsureOrigin<Self::RuntimeOrigin>;
		/// Weights of the calls.
		type WeightInfo: WeightInfo;
		/// Its account is the pot. It needs the existential deposit before an operator can register.
		#[pallet::constant]
		type PalletId: Get<PalletId>;
		/// Entries in a batch. `integrity_test` panics when the largest batch does not fit a block.
		#[pallet::constant]
		type MaxEntries: Get<u32>;
		/// Bytes of a stream's title.
		#[pallet::constant]
		type MaxTitleLen: Get<u32>;
		/// Accounts that share a stream's earnings beside its creator.
		#[pallet::constant]
		type MaxSplits: Get<u32>;
		/// Price versions kept for a stream; at least 2.
		#[pallet::constant]
		type MaxPriceVersions: Get<u32>;
		/// Price versions that one join may have ticks at; at least 1.
		#[pallet::constant]
		type MaxSessionPrices: Get<u32>;
		/// Sessions stored for a stream.
		#[pallet::constant]
		type MaxViewersPerStream: Get<u32>;
		/// What `record_tick` keeps for a stream.
		#[pallet::constant]
		type MaxTicksPerBatch: Get<u32>;
		/// Outcomes of batches kept for an operator; at least 1.
		#[pallet::constant]
		type OutcomesKept: Get<u32>;
		/// Ticks that a join may have at once.
		#[pallet::constant]
		type TickBurst: Get<u64>;
		/// Ticks that a join may have beside for every second since it began, in millionths.
		#[pallet::constant]
		type TickRatePpm: Get<u32>;
		/// How long escrow and bonds take to leave, and entries of an ended join are still taken.
		/// Longer than the longest time from a tick to its batch.
		#[pallet::constant]
		type WithdrawNotice: Get<u64>;
		/// Credit may be taken after between one and two of it; at least 1.
		#[pallet::constant]
		type CreditNotice: Get<u64>;
		/// How long before it is in force a price must be announced.
		#[pallet::constant]
		type PriceNotice: Get<u64>;
		/// What an operator has on hold.
		#[pallet::constant]
		type OperatorBond: Get<Balance>;
		/// How long a join may last.
		#[pallet::constant]
		type MaxJoinDuration: Get<u64>;
	}

	/// Who may settle. A row is never removed: it keeps the number of the last batch.
	#[pallet::storage]
	pub type Operators<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Operator>;

	/// Streams by number, the value of their UUID.
	#[pallet::storage]
	pub type StreamInfo<T: Config> = StorageMap<_, Blake2_128Concat, u128, Stream<T>>;

	/// Joins by stream, viewer and number.
	#[pallet::storage]
	pub type Sessions<T: Config> = StorageNMap<
		_,
		(
			NMapKey<Blake2_128Concat, u128>,
			NMapKey<Blake2_128Concat, T::AccountId>,
			NMapKey<Twox64Concat, u32>,
		),
		Session<T>,
	>;

	/// Number of a viewer's last join of a stream; kept for ever, so that no number comes twice.
	#[pallet::storage]
	pub type LastJoin<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, u128, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	/// Escrow by operator and viewer.
	#[pallet::storage]
	pub type Escrows<T: Config> = StorageDoubleMap<
		_,
		Blake2_128Concat,
		T::AccountId,
		Blake2_128Concat,
		T::AccountId,
		Escrow,
		ValueQuery,
	>;

	/// What accounts earned and did not take yet.
	#[pallet::storage]
	pub type Credits<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Credit, ValueQuery>;

	/// Viewers' own defaults for `join_stream`.
	#[pallet::storage]
	pub type Limits<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Limit>;

	/// What became of an operator's last `OutcomesKept` batches, by number.
	#[pallet::storage]
	pub type Outcomes<T: Config> =
		StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Twox64Concat, u64, Outcome<T>>;

	/// Ticks of a stream, stopping at the end of a u32: the platform's shape.
	#[pallet::storage]
	pub type TickCount<T: Config> = StorageMap<_, Blake2_128Concat, u128, u32, ValueQuery>;

	/// What `record_tick` was told last for a stream, oldest first: the platform's name. A count only.
	#[pallet::storage]
	pub type BatchedTicks<T: Config> = StorageMap<
		_,
		Blake2_128Concat,
		u128,
		BoundedVec<(T::AccountId, u32), T::MaxTicksPerBatch>,
		ValueQuery,
	>;

	/// What happened.
	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// `record_tick` counted ticks.
		TickRecorded {
			/// Stream.
			stream_id: u128,
			/// Who watched.
			viewer: T::AccountId,
			/// Ticks counted.
			ticks: u32,
		},
		/// A viewer joined: the platform's shape, beside `SessionOpened`.
		ViewerJoined {
			/// Stream.
			stream_id: u128,
			/// Who joined.
			viewer: T::AccountId,
		},
		/// A batch took effect.
		BatchSettled {
			/// Whose.
			operator: T::AccountId,
			/// Its number.
			seq: u64,
			/// Hash of its entries.
			hash: H256,
			/// How many entries it had.
			entries: u32,
			/// How many of them were refused.
			refused: u32,
			/// Ticks settled.
			ticks: u64,
			/// Planck settled.
			amount: u128,
		},
		/// An entry of a batch changed nothing.
		EntryRefused {
			/// Whose batch.
			operator: T::AccountId,
			/// Number of the batch.
			seq: u64,
			/// Index of the entry, from 0.
			index: u32,
			/// Why.
			reason: Refusal,
		},
		/// An operator's bond is on hold.
		OperatorRegistered {
			/// Who.
			operator: T::AccountId,
			/// Planck on hold.
			bond: u128,
		},
		/// An operator stopped; its bond waits for the notice.
		OperatorDeregistered {
			/// Who.
			operator: T::AccountId,
		},
		/// A bond went back.
		BondReleased {
			/// Whose.
			operator: T::AccountId,
			/// Planck released.
			amount: u128,
		},
		/// An operator was switched off or on.
		OperatorActivitySet {
			/// Who.
			operator: T::AccountId,
			/// Whether it may settle.
			active: bool,
		},
		/// A stream was made.
		StreamCreated {
			/// Stream.
			stream_id: u128,
			/// Who made it.
			creator: T::AccountId,
			/// Who reports its ticks.
			operator: T::AccountId,
		},
		/// A price version was announced.
		PriceSet {
			/// Stream.
			stream_id: u128,
			/// Number of the version.
			number: u32,
			/// Planck per tick.
			price: u128,
			/// First second in force.
			from: u64,
		},
		/// A stream was closed.
		StreamClosed {
			/// Stream.
			stream_id: u128,
		},
		/// A viewer's default changed.
		LimitSet {
			/// Whose.
			viewer: T::AccountId,
		},
		/// A join began.
		SessionOpened {
			/// Stream.
			stream_id: u128,
			/// Who joined.
			viewer: T::AccountId,
			/// Number of the join, from 1.
			join: u32,
			/// Planck it may cost.
			max_spend: u128,
			/// Planck per tick it pays at most.
			max_price: u128,
			/// When it ends by itself.
			expires_at: u64,
		},
		/// A viewer left, or joined again.
		SessionEnded {
			/// Stream.
			stream_id: u128,
			/// Who.
			viewer: T::AccountId,
			/// Number of the join.
			join: u32,
		},
		/// A join that can have no more entries was removed.
		SessionReaped {
			/// Stream.
			stream_id: u128,
			/// Whose.
			viewer: T::AccountId,
			/// Number of the join.
			join: u32,
		},
		/// Planck went into escrow.
		EscrowDeposited {
			/// Whose.
			viewer: T::AccountId,
			/// For whose streams.
			operator: T::AccountId,
			/// Planck added.
			amount: u128,
			/// Planck held after it.
			held: u128,
		},
		/// Escrow was asked back; an amount of 0 cancels.
		WithdrawRequested {
			/// Whose.
			viewer: T::AccountId,
			/// From whose streams.
			operator: T::AccountId,
			/// Planck asked for.
			amount: u128,
			/// From when on it may be taken.
			ready_at: u64,
		},
		/// Escrow went back.
		EscrowWithdrawn {
			/// Whose.
			viewer: T::AccountId,
			/// From whose streams.
			operator: T::AccountId,
			/// Planck released.
			amount: u128,
			/// Planck held after it.
			held: u128,
		},
		/// Credit was paid out of the pot.
		CreditWithdrawn {
			/// Whose.
			account: T::AccountId,
			/// Planck paid.
			amount: u128,
		},
	}

	/// Why a call failed. Nothing changed then, and the fee is due.
	#[pallet::error]
	pub enum Error<T> {
		/// The batch took effect before: its number is not above the operator's last.
		AlreadySettled,
		/// The batch's number is more than one above the operator's last.
		SequenceGap,
		/// The hash is not blake2-256 of the SCALE bytes of the entries.
		HashMismatch,
		/// The account is no registered operator.
		NotRegistered,
		/// The account has a bond on hold: it is registered, or must release the bond first.
		AlreadyRegistered,
		/// The operator deregistered or was switched off.
		NotActive,
		/// No such stream.
		StreamNotFound,
		/// The number is taken.
		StreamExists,
		/// The stream was closed.
		StreamClosed,
		/// The signer is not the stream's creator, or not its operator.
		Unauthorized,
		/// The splits are more than 10^6 millionths together.
		BadSplits,
		/// The price is in force too soon, or not after the version before it.
		PriceTooSoon,
		/// No price version is old enough to be forgotten.
		TooManyPrices,
		/// The viewer has no default limit: `set_limit` first, or `join_with_caps`.
		NoLimit,
		/// The duration is 0 or above `MaxJoinDuration`.
		BadDuration,
		/// The stream has `MaxViewersPerStream` sessions: reap ended ones.
		TooManyViewers,
		/// The viewer has no open join of this stream.
		NotJoined,
		/// No such join.
		NoSession,
		/// The notice has not passed.
		NotYet,
		/// An amount of 0.
		ZeroAmount,
		/// No escrow with this operator.
		NoEscrow,
		/// More than the escrow holds.
		NotEnough,
		/// No withdrawal was asked for.
		NoWithdrawal,
		/// No bond waits for its release: deregister first.
		NothingToRelease,
		/// No credit is available yet.
		NothingToWithdraw,
		/// The credit would not keep the account alive: it stays until there is more.
		BelowMinimum,
		/// A number does not fit its type.
		Overflow,
		/// The pot has less than the existential deposit: send that to the pallet's account first.
		PotMissing,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn integrity_test() {
			assert!(
				T::MaxEntries::get() >= 1,
				"MaxEntries is 0: no batch could settle anything"
			);
			assert!(
				T::MaxPriceVersions::get() >= 2,
				"MaxPriceVersions below 2: no price could change"
			);
			assert!(
				T::MaxSessionPrices::get() >= 1,
				"MaxSessionPrices is 0: no tick could be settled"
			);
			assert!(
				T::OutcomesKept::get() >= 1,
				"OutcomesKept is 0: no outcome could be read"
			);
			assert!(T::CreditNotice::get() >= 1, "CreditNotice is 0: it divides");
			assert!(
				T::MaxJoinDuration::get() >= 1,
				"MaxJoinDuration is 0: nobody could join"
			);
			let class = T::BlockWeights::get().get(DispatchClass::Normal).clone();
			let most = class.max_extrinsic.unwrap_or(T::BlockWeights::get().max_block);
			let largest = T::WeightInfo::settle(T::MaxEntries::get());
			assert!(
				largest.all_lte(most),
				"a batch of MaxEntries = {} weighs {largest:?}, one extrinsic may weigh {most:?}",
				T::MaxEntries::get(),
			);
			let bytes = (T::MaxEntries::get() as usize)
				.saturating_mul(Entry::<T::AccountId>::max_encoded_len())
				.saturating_add(1024);
			let room = *T::BlockLength::get().max.get(DispatchClass::Normal) as usize;
			assert!(
				bytes <= room,
				"a batch of MaxEntries takes {bytes} bytes, a block has {room}"
			);
		}
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Count ticks of a viewer, for the platform's page. It never moves money.
		///
		/// Signed by the stream's operator. Errors: `StreamNotFound`, `Unauthorized`.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::record_tick())]
		pub fn record_tick(
			origin: OriginFor<T>,
			stream_id: u128,
			viewer: T::AccountId,
			ticks: u32,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let stream = StreamInfo::<T>::get(stream_id).ok_or(Error::<T>::StreamNotFound)?;
			ensure!(stream.operator == who, Error::<T>::Unauthorized);
			Self::count_ticks(stream_id, ticks);
			BatchedTicks::<T>::mutate(stream_id, |last| {
				if last.is_full() && !last.is_empty() {
					last.remove(0);
				}
				let _ = last.try_push((viewer.clone(), ticks));
			});
			Self::deposit_event(Event::TickRecorded {
				stream_id,
				viewer,
				ticks,
			});
			Ok(())
		}

		/// Join a stream with the signer's own default caps.
		///
		/// Errors: `NoLimit`, and those of `join_with_caps`.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::join_stream())]
		pub fn join_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let limit = Limits::<T>::get(&viewer).ok_or(Error::<T>::NoLimit)?;
			Self::do_join(viewer, stream_id, limit)
		}

		/// Settle a batch: `entries` are cumulative, `hash` is blake2-256 of their SCALE bytes (compact
		/// count included), `seq` is one above the operator's last.
		///
		/// Signed by an active operator. An entry that is not above what is stored changes nothing; one
		/// that may not be settled is refused alone, with an event and a line in `Outcomes`. A batch that
		/// takes effect costs no fee, and its weight is that of what it did.
		/// Errors: `NotRegistered`, `NotActive`, `AlreadySettled`, `SequenceGap`, `HashMismatch`.
		#[pallet::call_index(2)]
		#[pallet::weight(Pallet::<T>::settle_weight(entries.len() as u32, Pallet::<T>::streams_of(entries)))]
		pub fn settle(
			origin: OriginFor<T>,
			seq: u64,
			hash: H256,
			entries: BoundedVec<Entry<T::AccountId>, T::MaxEntries>,
		) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let weight = Self::do_settle(who, seq, hash, entries)?;
			Ok((Some(weight), Pays::No).into())
		}

		/// Register the signer as an operator and hold its bond. Who was one before goes on from its
		/// last batch number.
		///
		/// Errors: `AlreadyRegistered` while a bond is on hold, `PotMissing`, the currency's.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::register_operator())]
		pub fn register_operator(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let before = Operators::<T>::get(&who);
			ensure!(
				before.as_ref().is_none_or(|one| one.bond == 0),
				Error::<T>::AlreadyRegistered
			);
			// Without it the first small batch could not pay into the pot.
			let minimum = T::Currency::minimum_balance();
			ensure!(
				T::Currency::balance(&Self::pot()) >= minimum,
				Error::<T>::PotMissing
			);
			let bond = T::OperatorBond::get();
			T::Currency::hold(&HoldReason::OperatorBond.into(), &who, bond)?;
			let (last_seq, last_hash) =
				before.map_or_else(Default::default, |one| (one.last_seq, one.last_hash));
			let row = Operator {
				bond,
				active: true,
				last_seq,
				last_hash,
				released_at: None,
			};
			Operators::<T>::insert(&who, row);
			Self::deposit_event(Event::OperatorRegistered { operator: who, bond });
			Ok(())
		}

		/// Stop settling at once; the bond may be taken after `WithdrawNotice`.
		///
		/// Errors: `NotRegistered`, `NotActive` (deregistered before, or switched off: then only
		/// `ForceOrigin` lets it go).
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::deregister_operator())]
		pub fn deregister_operator(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut operator = Self::active_operator(&who)?;
			operator.active = false;
			operator.released_at = Some(Self::now().saturating_add(T::WithdrawNotice::get()));
			Operators::<T>::insert(&who, operator);
			Self::deposit_event(Event::OperatorDeregistered { operator: who });
			Ok(())
		}

		/// Take the bond back after the notice.
		///
		/// Errors: `NotRegistered`, `NothingToRelease`, `NotYet`.
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::release_bond())]
		pub fn release_bond(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut operator = Operators::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
			let ready = operator.released_at.ok_or(Error::<T>::NothingToRelease)?;
			ensure!(Self::now() >= ready, Error::<T>::NotYet);
			let amount = core::mem::take(&mut operator.bond);
			let reason = HoldReason::OperatorBond.into();
			T::Currency::release(&reason, &who, amount, Precision::Exact)?;
			operator.released_at = None;
			Operators::<T>::insert(&who, operator);
			Self::deposit_event(Event::BondReleased {
				operator: who,
				amount,
			});
			Ok(())
		}

		/// Make a stream under a number of the signer's choice, with price version 1 in force now.
		///
		/// `price` is in planck per tick; `splits` share the earnings, the signer gets the rest.
		/// Errors: `StreamExists`, `NotRegistered`, `NotActive`, `BadSplits`.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::create_stream())]
		pub fn create_stream(
			origin: OriginFor<T>,
			stream_id: u128,
			operator: T::AccountId,
			title: BoundedVec<u8, T::MaxTitleLen>,
			price: u128,
			splits: BoundedVec<Split<T::AccountId>, T::MaxSplits>,
		) -> DispatchResult {
			let creator = ensure_signed(origin)?;
			ensure!(
				!StreamInfo::<T>::contains_key(stream_id),
				Error::<T>::StreamExists
			);
			Self::active_operator(&operator)?;
			let sum = splits
				.iter()
				.fold(0u64, |sum, one| sum.saturating_add(one.ppm.into()));
			ensure!(sum <= PPM.into(), Error::<T>::BadSplits);
			let now = Self::now();
			let mut prices = BoundedVec::new();
			prices
				.try_push(PriceVersion {
					number: 1,
					price,
					from: now,
				})
				.map_err(|_| Error::<T>::TooManyPrices)?;
			let stream = Stream {
				creator: creator.clone(),
				operator: operator.clone(),
				title,
				prices,
				splits,
				status: Status::Open,
				closed_at: None,
				created_at: now,
				total_ticks: 0,
				total_amount: 0,
				viewers: 0,
			};
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::StreamCreated {
				stream_id,
				creator,
				operator,
			});
			Self::deposit_event(Event::PriceSet {
				stream_id,
				number: 1,
				price,
				from: now,
			});
			Ok(())
		}

		/// Announce the next price version, in force from second `from` on.
		///
		/// Signed by the creator. Errors: `StreamNotFound`, `Unauthorized`, `StreamClosed`, `PriceTooSoon`,
		/// `TooManyPrices`, `Overflow`.
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::set_price())]
		pub fn set_price(origin: OriginFor<T>, stream_id: u128, price: u128, from: u64) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut stream = Self::open_stream_of(&who, stream_id)?;
			let now = Self::now();
			let (number, last_from) = stream.prices.last().map_or((0, 0), |one| (one.number, one.from));
			let soonest = now.saturating_add(T::PriceNotice::get());
			ensure!(from >= soonest && from > last_from, Error::<T>::PriceTooSoon);
			if stream.prices.is_full() {
				let second = stream.prices.get(1).ok_or(Error::<T>::TooManyPrices)?;
				// No tick at the oldest can be within its time any more.
				let forgotten = second.from.saturating_add(T::WithdrawNotice::get());
				ensure!(now > forgotten, Error::<T>::TooManyPrices);
				stream.prices.remove(0);
			}
			let number = number.checked_add(1).ok_or(Error::<T>::Overflow)?;
			stream
				.prices
				.try_push(PriceVersion { number, price, from })
				.map_err(|_| Error::<T>::TooManyPrices)?;
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::PriceSet {
				stream_id,
				number,
				price,
				from,
			});
			Ok(())
		}

		/// Close a stream for good: its joins end now, their entries are taken until the notice has passed.
		///
		/// Signed by the creator. Errors: `StreamNotFound`, `Unauthorized`, `StreamClosed`.
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::close_stream())]
		pub fn close_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut stream = Self::open_stream_of(&who, stream_id)?;
			stream.status = Status::Closed;
			stream.closed_at = Some(Self::now());
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::StreamClosed { stream_id });
			Ok(())
		}

		/// Set the signer's default for `join_stream`: planck for a join, planck per tick, seconds.
		///
		/// Errors: `BadDuration`.
		#[pallet::call_index(9)]
		#[pallet::weight(T::WeightInfo::set_limit())]
		pub fn set_limit(
			origin: OriginFor<T>,
			max_spend: u128,
			max_price: u128,
			duration: u64,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::check_duration(duration)?;
			Limits::<T>::insert(
				&viewer,
				Limit {
					max_spend,
					max_price,
					duration,
				},
			);
			Self::deposit_event(Event::LimitSet { viewer });
			Ok(())
		}

		/// Join a stream: at most `max_spend` planck, at most `max_price` planck per tick, for `duration`
		/// seconds. A join that is still open ends now.
		///
		/// Errors: `StreamNotFound`, `StreamClosed`, `BadDuration`, `TooManyViewers`, `Overflow`.
		#[pallet::call_index(10)]
		#[pallet::weight(T::WeightInfo::join_with_caps())]
		pub fn join_with_caps(
			origin: OriginFor<T>,
			stream_id: u128,
			max_spend: u128,
			max_price: u128,
			duration: u64,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::do_join(
				viewer,
				stream_id,
				Limit {
					max_spend,
					max_price,
					duration,
				},
			)
		}

		/// End the signer's join of a stream now.
		///
		/// Errors: `NotJoined`.
		#[pallet::call_index(11)]
		#[pallet::weight(T::WeightInfo::leave_stream())]
		pub fn leave_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let join = LastJoin::<T>::get(stream_id, &viewer);
			let key = (stream_id, &viewer, join);
			let mut session = Sessions::<T>::get(key).ok_or(Error::<T>::NotJoined)?;
			ensure!(session.ended_at.is_none(), Error::<T>::NotJoined);
			session.ended_at = Some(Self::now());
			Sessions::<T>::insert(key, session);
			Self::deposit_event(Event::SessionEnded {
				stream_id,
				viewer,
				join,
			});
			Ok(())
		}

		/// Put planck in escrow for all of one operator's streams.
		///
		/// Errors: `NotRegistered`, `NotActive`, `ZeroAmount`, the currency's.
		#[pallet::call_index(12)]
		#[pallet::weight(T::WeightInfo::deposit())]
		pub fn deposit(origin: OriginFor<T>, operator: T::AccountId, amount: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::active_operator(&operator)?;
			ensure!(amount > 0, Error::<T>::ZeroAmount);
			T::Currency::hold(&HoldReason::TickEscrow.into(), &viewer, amount)?;
			let held = Escrows::<T>::try_mutate(&operator, &viewer, |escrow| {
				escrow.held = escrow.held.checked_add(amount).ok_or(Error::<T>::Overflow)?;
				Ok::<_, DispatchError>(escrow.held)
			})?;
			Self::deposit_event(Event::EscrowDeposited {
				viewer,
				operator,
				amount,
				held,
			});
			Ok(())
		}

		/// Ask escrow back: at most what is held, in place of an earlier request; 0 cancels.
		///
		/// It may be taken after `WithdrawNotice`, and pays for ticks until it is.
		/// Errors: `NoEscrow`, `NotEnough`.
		#[pallet::call_index(13)]
		#[pallet::weight(T::WeightInfo::request_withdraw())]
		pub fn request_withdraw(
			origin: OriginFor<T>,
			operator: T::AccountId,
			amount: u128,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			ensure!(
				Escrows::<T>::contains_key(&operator, &viewer),
				Error::<T>::NoEscrow
			);
			let mut escrow = Escrows::<T>::get(&operator, &viewer);
			ensure!(amount <= escrow.held, Error::<T>::NotEnough);
			let ready_at = Self::now().saturating_add(T::WithdrawNotice::get());
			escrow.withdrawal = (amount > 0).then_some(Withdrawal { amount, ready_at });
			Escrows::<T>::insert(&operator, &viewer, escrow);
			Self::deposit_event(Event::WithdrawRequested {
				viewer,
				operator,
				amount,
				ready_at,
			});
			Ok(())
		}

		/// Take the escrow that was asked back, as much of it as ticks have left.
		///
		/// Needs nobody's help. Errors: `NoWithdrawal`, `NotYet`.
		#[pallet::call_index(14)]
		#[pallet::weight(T::WeightInfo::withdraw_escrow())]
		pub fn withdraw_escrow(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let escrow = Escrows::<T>::get(&operator, &viewer);
			let asked = escrow.withdrawal.ok_or(Error::<T>::NoWithdrawal)?;
			ensure!(Self::now() >= asked.ready_at, Error::<T>::NotYet);
			let amount = asked.amount.min(escrow.held);
			let reason = HoldReason::TickEscrow.into();
			T::Currency::release(&reason, &viewer, amount, Precision::Exact)?;
			let held = escrow.held - amount;
			if held > 0 {
				Escrows::<T>::insert(
					&operator,
					&viewer,
					Escrow {
						held,
						withdrawal: None,
					},
				);
			} else {
				Escrows::<T>::remove(&operator, &viewer);
			}
			Self::deposit_event(Event::EscrowWithdrawn {
				viewer,
				operator,
				amount,
				held,
			});
			Ok(())
		}

		/// Pay the signer all credit that is available.
		///
		/// Errors: `NothingToWithdraw`, `BelowMinimum` (the credit stays).
		#[pallet::call_index(15)]
		#[pallet::weight(T::WeightInfo::withdraw_credit())]
		pub fn withdraw_credit(origin: OriginFor<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			let mut credit = Credits::<T>::get(&account);
			credit.roll(Self::credit_period(Self::now()));
			let amount = core::mem::take(&mut credit.available);
			ensure!(amount > 0, Error::<T>::NothingToWithdraw);
			let allowed = T::Currency::can_deposit(&account, amount, Provenance::Extant);
			ensure!(allowed == DepositConsequence::Success, Error::<T>::BelowMinimum);
			T::Currency::transfer(&Self::pot(), &account, amount, Preservation::Preserve)?;
			if credit.total() > 0 {
				Credits::<T>::insert(&account, credit);
			} else {
				Credits::<T>::remove(&account);
			}
			Self::deposit_event(Event::CreditWithdrawn { account, amount });
			Ok(())
		}

		/// Remove a join that ended longer ago than `WithdrawNotice`: it can have no more entries.
		///
		/// Signed by anyone. Errors: `NoSession`, `NotYet`.
		#[pallet::call_index(16)]
		#[pallet::weight(T::WeightInfo::reap_session())]
		pub fn reap_session(
			origin: OriginFor<T>,
			stream_id: u128,
			viewer: T::AccountId,
			join: u32,
		) -> DispatchResult {
			ensure_signed(origin)?;
			let key = (stream_id, &viewer, join);
			let session = Sessions::<T>::get(key).ok_or(Error::<T>::NoSession)?;
			let stream = StreamInfo::<T>::get(stream_id);
			let end = session.end(stream.as_ref().and_then(|one| one.closed_at));
			let last = end.saturating_add(T::WithdrawNotice::get());
			ensure!(Self::now() > last, Error::<T>::NotYet);
			Sessions::<T>::remove(key);
			if let Some(mut stream) = stream {
				stream.viewers = stream.viewers.saturating_sub(1);
				StreamInfo::<T>::insert(stream_id, stream);
			}
			Self::deposit_event(Event::SessionReaped {
				stream_id,
				viewer,
				join,
			});
			Ok(())
		}

		/// Switch a registered operator off or on. While off it neither settles nor gets its bond back.
		///
		/// `ForceOrigin` only. Errors: `NotRegistered` (also when it is deregistered).
		#[pallet::call_index(17)]
		#[pallet::weight(T::WeightInfo::set_operator_active())]
		pub fn set_operator_active(
			origin: OriginFor<T>,
			operator: T::AccountId,
			active: bool,
		) -> DispatchResult {
			T::ForceOrigin::ensure_origin(origin)?;
			let mut row = Operators::<T>::get(&operator).ok_or(Error::<T>::NotRegistered)?;
			ensure!(
				row.bond > 0 && row.released_at.is_none(),
				Error::<T>::NotRegistered
			);
			row.active = active;
			Operators::<T>::insert(&operator, row);
			Self::deposit_event(Event::OperatorActivitySet { operator, active });
			Ok(())
		}
	}

	impl<T: Config> Pallet<T> {
		/// The account that has the tokens of all credit.
		pub fn pot() -> T::AccountId {
			T::PalletId::get().into_account_truncating()
		}

		/// Whole seconds of chain time.
		pub fn now() -> u64 {
			T::Time::now().as_secs()
		}

		/// Return an operator that may settle. Errors: `NotRegistered`, `NotActive`.
		pub(crate) fn active_operator(who: &T::AccountId) -> Result<Operator, Error<T>> {
			let operator = Operators::<T>::get(who).ok_or(Error::<T>::NotRegistered)?;
			ensure!(operator.bond > 0, Error::<T>::NotRegistered);
			ensure!(operator.active, Error::<T>::NotActive);
			Ok(operator)
		}

		/// Return an open stream of a creator. Errors: `StreamNotFound`, `Unauthorized`, `StreamClosed`.
		fn open_stream_of(who: &T::AccountId, stream_id: u128) -> Result<Stream<T>, Error<T>> {
			let stream = StreamInfo::<T>::get(stream_id).ok_or(Error::<T>::StreamNotFound)?;
			ensure!(stream.creator == *who, Error::<T>::Unauthorized);
			ensure!(stream.status == Status::Open, Error::<T>::StreamClosed);
			Ok(stream)
		}

		fn check_duration(duration: u64) -> Result<(), Error<T>> {
			ensure!(
				duration > 0 && duration <= T::MaxJoinDuration::get(),
				Error::<T>::BadDuration
			);
			Ok(())
		}

		fn do_join(viewer: T::AccountId, stream_id: u128, caps: Limit) -> DispatchResult {
			let mut stream = StreamInfo::<T>::get(stream_id).ok_or(Error::<T>::StreamNotFound)?;
			ensure!(stream.status == Status::Open, Error::<T>::StreamClosed);
			Self::check_duration(caps.duration)?;
			ensure!(
				stream.viewers < T::MaxViewersPerStream::get(),
				Error::<T>::TooManyViewers
			);
			let now = Self::now();
			let last = LastJoin::<T>::get(stream_id, &viewer);
			let join = last.checked_add(1).ok_or(Error::<T>::Overflow)?;
			let expires_at = now.saturating_add(caps.duration);
			if let Some(mut before) = Sessions::<T>::get((stream_id, &viewer, last)) {
				if before.ended_at.is_none() && now < before.expires_at {
					before.ended_at = Some(now);
					Sessions::<T>::insert((stream_id, &viewer, last), before);
					let viewer = viewer.clone();
					Self::deposit_event(Event::SessionEnded {
						stream_id,
						viewer,
						join: last,
					});
				}
			}
			let Limit {
				max_spend, max_price, ..
			} = caps;
			let session = Session {
				max_spend,
				max_price,
				joined_at: now,
				expires_at,
				ended_at: None,
				ticks: 0,
				amount: 0,
				by_price: BoundedVec::new(),
			};
			Sessions::<T>::insert((stream_id, &viewer, join), session);
			LastJoin::<T>::insert(stream_id, &viewer, join);
			stream.viewers += 1;
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::SessionOpened {
				stream_id,
				viewer: viewer.clone(),
				join,
				max_spend,
				max_price,
				expires_at,
			});
			Self::deposit_event(Event::ViewerJoined { stream_id, viewer });
			Ok(())
		}
	}
}
