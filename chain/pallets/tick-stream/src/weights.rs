//! Weights of the calls.
//!
//! PLACEHOLDER: the numbers below were NOT measured. Reads and writes are counted by hand from the code,
//! times are guesses on the high side. The benchmark CLI's output replaces this file's two implementations.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weight of each call, from its benchmark.
pub trait WeightInfo {
	/// `record_tick`.
	fn record_tick() -> Weight;
	/// `join_stream`.
	fn join_stream() -> Weight;
	/// `register_operator`.
	fn register_operator() -> Weight;
	/// `deregister_operator`.
	fn deregister_operator() -> Weight;
	/// `release_bond`.
	fn release_bond() -> Weight;
	/// `create_stream`.
	fn create_stream() -> Weight;
	/// `set_price`.
	fn set_price() -> Weight;
	/// `close_stream`.
	fn close_stream() -> Weight;
	/// `set_limit`.
	fn set_limit() -> Weight;
	/// `join_with_caps`.
	fn join_with_caps() -> Weight;
	/// `leave_stream`.
	fn leave_stream() -> Weight;
	/// `deposit`.
	fn deposit() -> Weight;
	/// `request_withdraw`.
	fn request_withdraw() -> Weight;
	/// `withdraw_escrow`.
	fn withdraw_escrow() -> Weight;
	/// `withdraw_credit`.
	fn withdraw_credit() -> Weight;
	/// `reap_session`.
	fn reap_session() -> Weight;
	/// `set_operator_active`.
	fn set_operator_active() -> Weight;
	/// `settle` of `n` entries at its worst: each of another stream with a full split table of other
	/// accounts, another viewer and another price version.
	fn settle(n: u32) -> Weight;
	/// `settle` of `n` entries of one stream, each of another viewer.
	fn settle_same_stream(n: u32) -> Weight;
	/// `settle` of `n` entries, each refused at the last check.
	fn settle_refused(n: u32) -> Weight;
}

fn call(db: RuntimeDbWeight, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(60_000_000, 8_000).saturating_add(db.reads_writes(reads, writes))
}

fn batch(db: RuntimeDbWeight, n: u32, each: Weight, reads: u64, writes: u64) -> Weight {
	let entry = each.saturating_add(db.reads_writes(reads, writes));
	call(db, 5, 5).saturating_add(entry.saturating_mul(n.into()))
}

/// For a runtime: the database's own costs.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn record_tick() -> Weight {
		call(T::DbWeight::get(), 3, 2)
	}
	fn join_stream() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn register_operator() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn deregister_operator() -> Weight {
		call(T::DbWeight::get(), 2, 1)
	}
	fn release_bond() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn create_stream() -> Weight {
		call(T::DbWeight::get(), 3, 1)
	}
	fn set_price() -> Weight {
		call(T::DbWeight::get(), 2, 1)
	}
	fn close_stream() -> Weight {
		call(T::DbWeight::get(), 2, 1)
	}
	fn set_limit() -> Weight {
		call(T::DbWeight::get(), 1, 1)
	}
	fn join_with_caps() -> Weight {
		call(T::DbWeight::get(), 4, 4)
	}
	fn leave_stream() -> Weight {
		call(T::DbWeight::get(), 3, 1)
	}
	fn deposit() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn request_withdraw() -> Weight {
		call(T::DbWeight::get(), 2, 1)
	}
	fn withdraw_escrow() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn withdraw_credit() -> Weight {
		call(T::DbWeight::get(), 4, 3)
	}
	fn reap_session() -> Weight {
		call(T::DbWeight::get(), 3, 2)
	}
	fn set_operator_active() -> Weight {
		call(T::DbWeight::get(), 1, 1)
	}
	fn settle(n: u32) -> Weight {
		batch(
			T::DbWeight::get(),
			n,
			Weight::from_parts(120_000_000, 9_000),
			15,
			15,
		)
	}
	fn settle_same_stream(n: u32) -> Weight {
		let stream =
			Weight::from_parts(60_000_000, 6_000).saturating_add(T::DbWeight::get().reads_writes(11, 11));
		batch(T::DbWeight::get(), n, Weight::from_parts(60_000_000, 3_000), 4, 4).saturating_add(stream)
	}
	fn settle_refused(n: u32) -> Weight {
		batch(T::DbWeight::get(), n, Weight::from_parts(60_000_000, 5_000), 3, 0)
	}
}

// For tests.
impl WeightInfo for () {
	fn record_tick() -> Weight {
		call(RocksDbWeight::get(), 3, 2)
	}
	fn join_stream() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn register_operator() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn deregister_operator() -> Weight {
		call(RocksDbWeight::get(), 2, 1)
	}
	fn release_bond() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn create_stream() -> Weight {
		call(RocksDbWeight::get(), 3, 1)
	}
	fn set_price() -> Weight {
		call(RocksDbWeight::get(), 2, 1)
	}
	fn close_stream() -> Weight {
		call(RocksDbWeight::get(), 2, 1)
	}
	fn set_limit() -> Weight {
		call(RocksDbWeight::get(), 1, 1)
	}
	fn join_with_caps() -> Weight {
		call(RocksDbWeight::get(), 4, 4)
	}
	fn leave_stream() -> Weight {
		call(RocksDbWeight::get(), 3, 1)
	}
	fn deposit() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn request_withdraw() -> Weight {
		call(RocksDbWeight::get(), 2, 1)
	}
	fn withdraw_escrow() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn withdraw_credit() -> Weight {
		call(RocksDbWeight::get(), 4, 3)
	}
	fn reap_session() -> Weight {
		call(RocksDbWeight::get(), 3, 2)
	}
	fn set_operator_active() -> Weight {
		call(RocksDbWeight::get(), 1, 1)
	}
	fn settle(n: u32) -> Weight {
		batch(
			RocksDbWeight::get(),
			n,
			Weight::from_parts(120_000_000, 9_000),
			15,
			15,
		)
	}
	fn settle_same_stream(n: u32) -> Weight {
		let stream =
			Weight::from_parts(60_000_000, 6_000).saturating_add(RocksDbWeight::get().reads_writes(11, 11));
		batch(
			RocksDbWeight::get(),
			n,
			Weight::from_parts(60_000_000, 3_000),
			4,
			4,
		)
		.saturating_add(stream)
	}
	fn settle_refused(n: u32) -> Weight {
		batch(
			RocksDbWeight::get(),
			n,
			Weight::from_parts(60_000_000, 5_000),
			3,
			0,
		)
	}
}
