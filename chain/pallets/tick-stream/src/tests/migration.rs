//! From the platform's old layout.

use super::*;
use crate::{
	migration::{v0::StreamViewers, V0ToV1},
	TickCount,
};
use frame_support::traits::{GetStorageVersion, OnRuntimeUpgrade, StorageVersion};

/// A chain of the old pallet, with its storage committed: three streams that were watched.
fn old_chain() -> sp_io::TestExternalities {
	let mut ext = new_test_ext();
	ext.execute_with(|| {
		StorageVersion::new(0).put::<TickStream>();
		for stream in 1..=3u128 {
			StreamViewers::<Test>::insert(stream, vec![VIEWER, VIEWER + 1]);
			TickCount::<Test>::insert(stream, stream as u32 * 10);
		}
	});
	ext.commit_all().expect("no transaction is open");
	ext
}

#[test]
fn counts_are_kept_and_lists_of_viewers_go() {
	old_chain().execute_with(|| {
		let weight = V0ToV1::<Test>::on_runtime_upgrade();
		assert_eq!(StreamViewers::<Test>::iter_keys().count(), 0);
		assert_eq!(
			(1..=3).map(TickCount::<Test>::get).collect::<Vec<_>>(),
			[10, 20, 30]
		);
		assert_eq!(TickStream::on_chain_storage_version(), StorageVersion::new(1));
		assert!(
			weight.ref_time() >= 3 * 100_000_000,
			"three lists were removed: {weight:?}"
		);
		assert_ok!(TickStream::do_try_state());
		// The old number is free for its creator.
		assert_ok!(TickStream::register_operator(by(OPERATOR)));
		assert_ok!(TickStream::create_stream(
			by(CREATOR),
			1,
			OPERATOR,
			title(""),
			1,
			splits(&[])
		));
	});
}

#[test]
fn it_runs_once() {
	old_chain().execute_with(|| {
		V0ToV1::<Test>::on_runtime_upgrade();
		StreamViewers::<Test>::insert(9, vec![VIEWER]);
		V0ToV1::<Test>::on_runtime_upgrade();
		assert!(StreamViewers::<Test>::contains_key(9));
	});
}

#[test]
fn what_it_removes_is_bounded() {
	old_chain().execute_with(|| {
		V0ToV1::<Test, 2>::on_runtime_upgrade();
		assert_eq!(StreamViewers::<Test>::iter_keys().count(), 1);
	});
}

#[cfg(feature = "try-runtime")]
#[test]
fn a_dry_run_tells_when_lists_are_left() {
	old_chain().execute_with(|| {
		assert_ok!(V0ToV1::<Test>::try_on_runtime_upgrade(true));
	});
	old_chain().execute_with(|| {
		let left = V0ToV1::<Test, 2>::try_on_runtime_upgrade(true);
		assert_eq!(left, Err("old lists are left: raise V0ToV1's MAX".into()));
	});
}
