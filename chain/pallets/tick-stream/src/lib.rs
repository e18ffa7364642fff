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

mod calls;
mod credit;
mod events;
mod joins;
pub mod migration;
mod settle;
#[cfg(any(feature = "try-runtime", test))]
mod state;
mod types;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

use frame_support::pallet_macros::import_section;

pub use credit::{divide, share};
pub use pallet::*;
pub use types::*;
pub use weights::WeightInfo;

/// Balance of the currency, in its smallest unit.
pub type Balance = u128;

/// What the benchmarks need of the runtime.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper {
	/// Set the clock that `Config::Time` reads, in seconds.
	fn set_time(seconds: u64);
}

#[import_section(calls::calls)]
#[import_section(events::events)]
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
		/// Sets the clock for benchmarks.
		#[cfg(feature = "runtime-benchmarks")]
		type BenchmarkHelper: BenchmarkHelper;
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
	}
}
