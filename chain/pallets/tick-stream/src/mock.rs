//! A runtime for the tests: real balances, a real clock, small bounds.

use crate as pallet_tick_stream;
use frame_support::{
	derive_impl, parameter_types,
	traits::{ConstU128, ConstU32, ConstU64},
	weights::constants::RocksDbWeight,
	PalletId,
};
use sp_runtime::BuildStorage;

pub const ED: u128 = 10;
pub const BOND: u128 = 1_000;
pub const BURST: u64 = 120;
pub const RATE_PPM: u32 = 1_100_000;
pub const NOTICE: u64 = 3_600;
pub const CREDIT_NOTICE: u64 = 600;
pub const PRICE_NOTICE: u64 = 60;
pub const DURATION_MAX: u64 = 30 * 86_400;
pub const KEPT: u64 = 8;
/// Chain second at which a test begins.
pub const START: u64 = 1_800_000_000;

/// Accounts: operators below 10, creators below 20, viewers below 30, payees from 30 on.
pub const OPERATOR: u64 = 1;
pub const CREATOR: u64 = 11;
pub const VIEWER: u64 = 21;
pub const PAYEE: u64 = 31;
/// What every account but the payees has at first.
pub const RICH: u128 = 1_000_000_000_000;

type Block = frame_system::mocking::MockBlock<Test>;

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Timestamp: pallet_timestamp = 1,
		Balances: pallet_balances = 4,
		TickStream: pallet_tick_stream = 7,
	}
);

parameter_types! {
	pub BlockWeights: frame_system::limits::BlockWeights = frame_system::limits::BlockWeights::with_sensible_defaults(
		frame_support::weights::Weight::from_parts(2_000_000_000_000, u64::MAX),
		sp_runtime::Perbill::from_percent(75),
	);
	pub const Pot: PalletId = PalletId(*b"vk/ticks");
	/// A test may lower it.
	pub static MaxViewers: u32 = 1_000_000;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = Block;
	type AccountData = pallet_balances::AccountData<u128>;
	type BlockWeights = BlockWeights;
	type DbWeight = RocksDbWeight;
}

#[derive_impl(pallet_timestamp::config_preludes::TestDefaultConfig)]
impl pallet_timestamp::Config for Test {}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
	type AccountStore = System;
	type Balance = u128;
	type ExistentialDeposit = ConstU128<ED>;
	type RuntimeHoldReason = RuntimeHoldReason;
}

impl pallet_tick_stream::Config for Test {
	type RuntimeHoldReason = RuntimeHoldReason;
	type Currency = Balances;
	type Time = Timestamp;
	type ForceOrigin = frame_system::EnsureRoot<u64>;
	type WeightInfo = ();
	type PalletId = Pot;
	type MaxEntries = ConstU32<512>;
	type MaxTitleLen = ConstU32<16>;
	type MaxSplits = ConstU32<8>;
	type MaxPriceVersions = ConstU32<4>;
	type MaxSessionPrices = ConstU32<2>;
	type MaxViewersPerStream = MaxViewers;
	type MaxTicksPerBatch = ConstU32<3>;
	type OutcomesKept = ConstU32<{ KEPT as u32 }>;
	type TickBurst = ConstU64<BURST>;
	type TickRatePpm = ConstU32<RATE_PPM>;
	type WithdrawNotice = ConstU64<NOTICE>;
	type CreditNotice = ConstU64<CREDIT_NOTICE>;
	type PriceNotice = ConstU64<PRICE_NOTICE>;
	type OperatorBond = ConstU128<BOND>;
	type MaxJoinDuration = ConstU64<DURATION_MAX>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Clock;
}

/// Sets pallet-timestamp.
#[cfg(feature = "runtime-benchmarks")]
pub struct Clock;

#[cfg(feature = "runtime-benchmarks")]
impl crate::BenchmarkHelper for Clock {
	fn set_time(seconds: u64) {
		Timestamp::set_timestamp(seconds * 1_000);
	}
}

/// A chain at `START` with rich accounts and the existential deposit in the pot; nobody is registered.
pub fn new_test_ext() -> sp_io::TestExternalities {
	let rich = (1..=9).chain(11..=19).chain(21..=29).map(|who| (who, RICH));
	let storage = RuntimeGenesisConfig {
		balances: pallet_balances::GenesisConfig {
			balances: rich.chain([(TickStream::pot(), ED)]).collect(),
			..Default::default()
		},
		system: Default::default(),
	}
	.build_storage()
	.expect("genesis of the mock is valid");
	let mut ext: sp_io::TestExternalities = storage.into();
	ext.execute_with(|| {
		System::set_block_number(1);
		Timestamp::set_timestamp(START * 1_000);
	});
	ext
}
