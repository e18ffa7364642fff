//! From the platform's old pallet (storage version 0) to this one (1).
//!
//! Kept: `TickCount`, whose shape and key are the same. Dropped: `StreamViewers: u128 -> Vec<AccountId>`,
//! an unbounded list of who ever joined. It says neither what a viewer agreed to pay nor who may report
//! a stream, so no session and no stream can be made of it: creators create their streams, viewers join
//! again. The old pallet held no money, so none can be lost.

use crate::{Config, Pallet};
#[cfg(feature = "try-runtime")]
use alloc::vec::Vec;
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
};
#[cfg(feature = "try-runtime")]
use sp_runtime::TryRuntimeError;

/// The migration for a runtime's list, e.g. `Executive<.., (V0ToV1<Runtime>,)>`.
///
/// It removes at most `MAX` lists, so that its weight is bounded. Lists beyond that would stay behind,
/// read by nobody; its `post_upgrade` fails then, so that a dry run tells to raise `MAX`.
pub type V0ToV1<T, const MAX: u32 = 1_000> = VersionedMigration<
	0,
	1,
	unchecked::DropStreamViewers<T, MAX>,
	Pallet<T>,
	<T as frame_system::Config>::DbWeight,
>;

/// The old layout.
#[allow(missing_docs)] // The macro makes a type of its own.
pub mod v0 {
	use super::*;
	use alloc::vec::Vec;
	use frame_support::Blake2_128Concat;

	/// Who ever joined a stream.
	#[frame_support::storage_alias]
	pub type StreamViewers<T: Config> =
		StorageMap<Pallet<T>, Blake2_128Concat, u128, Vec<<T as frame_system::Config>::AccountId>>;
}

mod unchecked {
	use super::*;

	/// Removes the old lists; does not look at the version: `VersionedMigration` does.
	pub struct DropStreamViewers<T, const MAX: u32>(PhantomData<T>);

	impl<T: Config, const MAX: u32> UncheckedOnRuntimeUpgrade for DropStreamViewers<T, MAX> {
		fn on_runtime_upgrade() -> Weight {
			let removed = v0::StreamViewers::<T>::clear(MAX, None);
			T::DbWeight::get().reads_writes(u64::from(removed.loops) + 1, removed.unique.into())
		}

		#[cfg(feature = "try-runtime")]
		fn pre_upgrade() -> Result<Vec<u8>, TryRuntimeError> {
			use codec::Encode;
			let counts: Vec<(u128, u32)> = crate::TickCount::<T>::iter().collect();
			Ok(counts.encode())
		}

		#[cfg(feature = "try-runtime")]
		fn post_upgrade(before: Vec<u8>) -> Result<(), TryRuntimeError> {
			use codec::Decode;
			let left = v0::StreamViewers::<T>::iter_keys().next();
			frame_support::ensure!(left.is_none(), "old lists are left: raise V0ToV1's MAX");
			let counts = Vec::<(u128, u32)>::decode(&mut &before[..])
				.map_err(|_| TryRuntimeError::Other("pre_upgrade's counts do not decode"))?;
			for (stream, count) in counts {
				let now = crate::TickCount::<T>::get(stream);
				frame_support::ensure!(now == count, "a tick count changed");
			}
			Ok(())
		}
	}
}
