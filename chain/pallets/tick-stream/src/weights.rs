//! Weights of the calls, measured. Written by `make chain-bench` (chain/scripts/benchmark.sh); do not edit.
//!
//! frame-omni-bencher 0.28.0, polkadot-sdk stable2609, rustc-web 1.96; wasm of the runtime with `runtime-benchmarks`, sha256
//! 75eca1687a76e31a8b9302e8d13965942a9a4785c6d1b97d1d1e45cd57fa2529.
//! 2026-11-23 on Intel(R) Xeon(R) Processor, wasm execution Compiled, worst case of a map 1000000 rows.
//! The bencher was its pallet command (frame-benchmarking-cli 64.0.0) built without the node around it; two cores
//! shared with other work, so times are rather too high.
//! Reads and writes of the database are counted, not timed: `T::DbWeight` prices them. The command:
//!
//! `frame-omni-bencher v1 benchmark pallet --runtime runtime.wasm --genesis-builder none --pallet pallet_tick_stream --extrinsic * --steps 20 --repeat 10 --heap-pages 4096 --template weights.hbs --output weights.rs`

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, Weight},
};

/// Weight of each call, from its benchmark.
pub trait WeightInfo {
	/// `record_tick`.
	fn record_tick() -> Weight;
	/// `join_stream`.
	fn join_stream() -> Weight;
	/// `settle`, `n` from 1 to 512.
	fn settle(n: u32) -> Weight;
	/// `settle_same_stream`, `n` from 1 to 512.
	fn settle_same_stream(n: u32) -> Weight;
	/// `settle_refused`, `n` from 1 to 512.
	fn settle_refused(n: u32) -> Weight;
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
}

/// For a runtime: the database's own costs.
pub struct SubstrateWeight<T>(PhantomData<T>);
impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	// Storage: `TickStream::StreamInfo` (r:1 w:0)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `TickStream::TickCount` (r:1 w:1)
	// Proof: `TickStream::TickCount` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
	// Storage: `TickStream::BatchedTicks` (r:1 w:1)
	// Proof: `TickStream::BatchedTicks` (`max_values`: None, `max_size`: Some(9250), added: 11725, mode: `MaxEncodedLen`)
	fn record_tick() -> Weight {
		// Proof, bytes: measured 10411, estimated 12715.
		// Shortest run: 34_483_000 ps.
		Weight::from_parts(39_634_000, 12715)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(2_u64))
	}
	// Storage: `TickStream::Limits` (r:1 w:0)
	// Proof: `TickStream::Limits` (`max_values`: None, `max_size`: Some(88), added: 2563, mode: `MaxEncodedLen`)
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `TickStream::LastJoin` (r:1 w:1)
	// Proof: `TickStream::LastJoin` (`max_values`: None, `max_size`: Some(84), added: 2559, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:1 w:2)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	fn join_stream() -> Weight {
		// Proof, bytes: measured 1642, estimated 4475.
		// Shortest run: 72_405_000 ps.
		Weight::from_parts(84_354_000, 4475)
			.saturating_add(T::DbWeight::get().reads(5_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `TickStream::StreamInfo` (r:512 w:512)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:512 w:512)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Escrows` (r:512 w:512)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:512 w:512)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:513 w:513)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `TickStream::TickCount` (r:512 w:512)
	// Proof: `TickStream::TickCount` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Credits` (r:4608 w:4608)
	// Proof: `TickStream::Credits` (`max_values`: None, `max_size`: Some(104), added: 2579, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Outcomes` (r:0 w:2)
	// Proof: `TickStream::Outcomes` (`max_values`: None, `max_size`: Some(2690), added: 5165, mode: `MaxEncodedLen`)
	fn settle(n: u32) -> Weight {
		// Proof, bytes: measured 356 + n * (2219 ±0), estimated 3593 + n * (23211 ±0).
		// Shortest run: 347_975_000 ps.
		Weight::from_parts(7_427_959_877, 3593)
			// Standard error: 11_662_690.
			.saturating_add(Weight::from_parts(274_346_145, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().reads((15_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(4_u64))
			.saturating_add(T::DbWeight::get().writes((15_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 23211).saturating_mul(n.into()))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:512 w:512)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Escrows` (r:512 w:512)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:512 w:512)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:513 w:513)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `TickStream::TickCount` (r:1 w:1)
	// Proof: `TickStream::TickCount` (`max_values`: None, `max_size`: Some(36), added: 2511, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Credits` (r:9 w:9)
	// Proof: `TickStream::Credits` (`max_values`: None, `max_size`: Some(104), added: 2579, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Outcomes` (r:0 w:2)
	// Proof: `TickStream::Outcomes` (`max_values`: None, `max_size`: Some(2690), added: 5165, mode: `MaxEncodedLen`)
	fn settle_same_stream(n: u32) -> Weight {
		// Proof, bytes: measured 2019 + n * (342 ±0), estimated 24201 + n * (2745 ±0).
		// Shortest run: 217_053_000 ps.
		Weight::from_parts(229_450_000, 24201)
			// Standard error: 1_719_008.
			.saturating_add(Weight::from_parts(86_560_857, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(14_u64))
			.saturating_add(T::DbWeight::get().reads((4_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(15_u64))
			.saturating_add(T::DbWeight::get().writes((4_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 2745).saturating_mul(n.into()))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `TickStream::StreamInfo` (r:512 w:0)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:512 w:0)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Escrows` (r:512 w:0)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Outcomes` (r:0 w:2)
	// Proof: `TickStream::Outcomes` (`max_values`: None, `max_size`: Some(2690), added: 5165, mode: `MaxEncodedLen`)
	fn settle_refused(n: u32) -> Weight {
		// Proof, bytes: measured 500 + n * (1139 ±0), estimated 3579 + n * (3485 ±0).
		// Shortest run: 64_644_000 ps.
		Weight::from_parts(65_679_000, 3579)
			// Standard error: 1_451_452.
			.saturating_add(Weight::from_parts(42_043_764, 0).saturating_mul(n.into()))
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().reads((3_u64).saturating_mul(n.into())))
			.saturating_add(T::DbWeight::get().writes(3_u64))
			.saturating_add(Weight::from_parts(0, 3485).saturating_mul(n.into()))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:2 w:1)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:1 w:1)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	fn register_operator() -> Weight {
		// Proof, bytes: measured 317, estimated 6196.
		// Shortest run: 84_454_000 ps.
		Weight::from_parts(93_031_000, 6196)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn deregister_operator() -> Weight {
		// Proof, bytes: measured 148, estimated 3579.
		// Shortest run: 20_704_000 ps.
		Weight::from_parts(23_116_000, 3579)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:1 w:1)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:1 w:1)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	fn release_bond() -> Weight {
		// Proof, bytes: measured 315, estimated 3593.
		// Shortest run: 77_336_000 ps.
		Weight::from_parts(83_857_000, 3593)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Operators` (r:1 w:0)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn create_stream() -> Weight {
		// Proof, bytes: measured 148, estimated 4475.
		// Shortest run: 28_631_000 ps.
		Weight::from_parts(32_167_000, 4475)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn set_price() -> Weight {
		// Proof, bytes: measured 1149, estimated 4475.
		// Shortest run: 24_363_000 ps.
		Weight::from_parts(27_824_000, 4475)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn close_stream() -> Weight {
		// Proof, bytes: measured 1149, estimated 4475.
		// Shortest run: 24_074_000 ps.
		Weight::from_parts(27_940_000, 4475)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::Limits` (r:0 w:1)
	// Proof: `TickStream::Limits` (`max_values`: None, `max_size`: Some(88), added: 2563, mode: `MaxEncodedLen`)
	fn set_limit() -> Weight {
		// Proof, bytes: measured 0, estimated 0.
		// Shortest run: 9_733_000 ps.
		Weight::from_parts(11_175_000, 0).saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `TickStream::LastJoin` (r:1 w:1)
	// Proof: `TickStream::LastJoin` (`max_values`: None, `max_size`: Some(84), added: 2559, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:1 w:2)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	fn join_with_caps() -> Weight {
		// Proof, bytes: measured 1530, estimated 4475.
		// Shortest run: 67_696_000 ps.
		Weight::from_parts(73_918_000, 4475)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(4_u64))
	}
	// Storage: `TickStream::LastJoin` (r:1 w:0)
	// Proof: `TickStream::LastJoin` (`max_values`: None, `max_size`: Some(84), added: 2559, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Sessions` (r:1 w:1)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn leave_stream() -> Weight {
		// Proof, bytes: measured 537, estimated 3735.
		// Shortest run: 40_337_000 ps.
		Weight::from_parts(45_502_000, 3735)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::Operators` (r:1 w:0)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:1 w:1)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:1 w:1)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	// Storage: `TickStream::Escrows` (r:1 w:1)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	fn deposit() -> Weight {
		// Proof, bytes: measured 271, estimated 3602.
		// Shortest run: 88_216_000 ps.
		Weight::from_parts(93_840_000, 3602)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	// Storage: `TickStream::Escrows` (r:1 w:1)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn request_withdraw() -> Weight {
		// Proof, bytes: measured 217, estimated 3602.
		// Shortest run: 29_126_000 ps.
		Weight::from_parts(32_912_000, 3602)
			.saturating_add(T::DbWeight::get().reads(2_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
	// Storage: `TickStream::Escrows` (r:1 w:1)
	// Proof: `TickStream::Escrows` (`max_values`: None, `max_size`: Some(137), added: 2612, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:1 w:1)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	// Storage: `Balances::Holds` (r:1 w:1)
	// Proof: `Balances::Holds` (`max_values`: None, `max_size`: Some(85), added: 2560, mode: `MaxEncodedLen`)
	fn withdraw_escrow() -> Weight {
		// Proof, bytes: measured 414, estimated 3602.
		// Shortest run: 85_449_000 ps.
		Weight::from_parts(91_154_000, 3602)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	// Storage: `TickStream::Credits` (r:1 w:1)
	// Proof: `TickStream::Credits` (`max_values`: None, `max_size`: Some(104), added: 2579, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	// Storage: `System::Account` (r:2 w:2)
	// Proof: `System::Account` (`max_values`: None, `max_size`: Some(128), added: 2603, mode: `MaxEncodedLen`)
	fn withdraw_credit() -> Weight {
		// Proof, bytes: measured 338, estimated 6196.
		// Shortest run: 83_212_000 ps.
		Weight::from_parts(92_455_000, 6196)
			.saturating_add(T::DbWeight::get().reads(4_u64))
			.saturating_add(T::DbWeight::get().writes(3_u64))
	}
	// Storage: `TickStream::Sessions` (r:1 w:1)
	// Proof: `TickStream::Sessions` (`max_values`: None, `max_size`: Some(270), added: 2745, mode: `MaxEncodedLen`)
	// Storage: `TickStream::StreamInfo` (r:1 w:1)
	// Proof: `TickStream::StreamInfo` (`max_values`: None, `max_size`: Some(1010), added: 3485, mode: `MaxEncodedLen`)
	// Storage: `Timestamp::Now` (r:1 w:0)
	// Proof: `Timestamp::Now` (`max_values`: Some(1), `max_size`: Some(8), added: 503, mode: `MaxEncodedLen`)
	fn reap_session() -> Weight {
		// Proof, bytes: measured 1457, estimated 4475.
		// Shortest run: 40_226_000 ps.
		Weight::from_parts(45_839_000, 4475)
			.saturating_add(T::DbWeight::get().reads(3_u64))
			.saturating_add(T::DbWeight::get().writes(2_u64))
	}
	// Storage: `TickStream::Operators` (r:1 w:1)
	// Proof: `TickStream::Operators` (`max_values`: None, `max_size`: Some(114), added: 2589, mode: `MaxEncodedLen`)
	fn set_operator_active() -> Weight {
		// Proof, bytes: measured 112, estimated 3579.
		// Shortest run: 14_387_000 ps.
		Weight::from_parts(18_332_000, 3579)
			.saturating_add(T::DbWeight::get().reads(1_u64))
			.saturating_add(T::DbWeight::get().writes(1_u64))
	}
}

// For tests.
impl WeightInfo for () {
	fn record_tick() -> Weight {
		Weight::from_parts(39_634_000, 12715)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(2_u64))
	}
	fn join_stream() -> Weight {
		Weight::from_parts(84_354_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(5_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	fn settle(n: u32) -> Weight {
		Weight::from_parts(7_427_959_877, 3593)
			.saturating_add(Weight::from_parts(274_346_145, 0).saturating_mul(n.into()))
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().reads((15_u64).saturating_mul(n.into())))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
			.saturating_add(RocksDbWeight::get().writes((15_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 23211).saturating_mul(n.into()))
	}
	fn settle_same_stream(n: u32) -> Weight {
		Weight::from_parts(229_450_000, 24201)
			.saturating_add(Weight::from_parts(86_560_857, 0).saturating_mul(n.into()))
			.saturating_add(RocksDbWeight::get().reads(14_u64))
			.saturating_add(RocksDbWeight::get().reads((4_u64).saturating_mul(n.into())))
			.saturating_add(RocksDbWeight::get().writes(15_u64))
			.saturating_add(RocksDbWeight::get().writes((4_u64).saturating_mul(n.into())))
			.saturating_add(Weight::from_parts(0, 2745).saturating_mul(n.into()))
	}
	fn settle_refused(n: u32) -> Weight {
		Weight::from_parts(65_679_000, 3579)
			.saturating_add(Weight::from_parts(42_043_764, 0).saturating_mul(n.into()))
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().reads((3_u64).saturating_mul(n.into())))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
			.saturating_add(Weight::from_parts(0, 3485).saturating_mul(n.into()))
	}
	fn register_operator() -> Weight {
		Weight::from_parts(93_031_000, 6196)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn deregister_operator() -> Weight {
		Weight::from_parts(23_116_000, 3579)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn release_bond() -> Weight {
		Weight::from_parts(83_857_000, 3593)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn create_stream() -> Weight {
		Weight::from_parts(32_167_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn set_price() -> Weight {
		Weight::from_parts(27_824_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn close_stream() -> Weight {
		Weight::from_parts(27_940_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn set_limit() -> Weight {
		Weight::from_parts(11_175_000, 0).saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn join_with_caps() -> Weight {
		Weight::from_parts(73_918_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(4_u64))
	}
	fn leave_stream() -> Weight {
		Weight::from_parts(45_502_000, 3735)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn deposit() -> Weight {
		Weight::from_parts(93_840_000, 3602)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn request_withdraw() -> Weight {
		Weight::from_parts(32_912_000, 3602)
			.saturating_add(RocksDbWeight::get().reads(2_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
	fn withdraw_escrow() -> Weight {
		Weight::from_parts(91_154_000, 3602)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn withdraw_credit() -> Weight {
		Weight::from_parts(92_455_000, 6196)
			.saturating_add(RocksDbWeight::get().reads(4_u64))
			.saturating_add(RocksDbWeight::get().writes(3_u64))
	}
	fn reap_session() -> Weight {
		Weight::from_parts(45_839_000, 4475)
			.saturating_add(RocksDbWeight::get().reads(3_u64))
			.saturating_add(RocksDbWeight::get().writes(2_u64))
	}
	fn set_operator_active() -> Weight {
		Weight::from_parts(18_332_000, 3579)
			.saturating_add(RocksDbWeight::get().reads(1_u64))
			.saturating_add(RocksDbWeight::get().writes(1_u64))
	}
}
