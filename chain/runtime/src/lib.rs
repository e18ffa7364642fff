//! The development runtime: accounts, fees, sudo, batches of calls and the pallet `tick-stream`, nothing else.
//!
//! It has no consensus of its own: chopsticks and `polkadot-omni-node --dev` author its blocks. What a chain that
//! carries money must have besides (authorities, governance in place of sudo, treasury for fees) is that chain's own;
//! the pallet goes into it unchanged. Constants and how to choose them: docs/chain.md.
#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]

extern crate alloc;

// Before `apis`, which uses the macros that it defines.
#[cfg(feature = "runtime-benchmarks")]
#[macro_use]
mod benchmarks {
	frame_benchmarking::define_benchmarks!([pallet_tick_stream, TickStream]);
}

pub mod apis;
pub mod constants;
pub mod genesis;

use alloc::{borrow::Cow, vec::Vec};
use frame_support::{
	derive_impl,
	dispatch::DispatchClass,
	parameter_types,
	traits::{ConstU32, ConstU64, ConstU8, VariantCountOf},
	weights::{constants::RocksDbWeight, IdentityFee},
	PalletId,
};
use frame_system::{limits, EnsureRoot};
use pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier};
use sp_runtime::{
	generic,
	traits::{BlakeTwo256, IdentifyAccount, Verify},
	MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

pub use apis::RUNTIME_API_VERSIONS;
use constants::{DAYS, EXISTENTIAL_DEPOSIT, MAX_BLOCK_BYTES, MAX_BLOCK_WEIGHT, NORMAL_RATIO, UNIT};

pub type Signature = MultiSignature;
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
pub type Balance = u128;
pub type Nonce = u32;
pub type BlockNumber = u32;
pub type Hash = sp_core::H256;
pub type Address = MultiAddress<AccountId, ()>;
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// What a signature covers, in the canonical order. A change here is a new `transaction_version`.
pub type TxExtension = (
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckEra<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
pub type Executive = frame_executive::Executive<
	Runtime,
	Block,
	frame_system::ChainContext<Runtime>,
	Runtime,
	AllPalletsWithSystem,
>;

#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
	spec_name: Cow::Borrowed("vilokanam"),
	impl_name: Cow::Borrowed("vilokanam"),
	authoring_version: 1,
	spec_version: 100,
	impl_version: 1,
	apis: RUNTIME_API_VERSIONS,
	transaction_version: 1,
	system_version: 1,
};

frame_support::construct_runtime!(
	pub enum Runtime {
		System: frame_system = 0,
		Timestamp: pallet_timestamp = 1,
		// 2 and 3 are kept free for Aura and Grandpa.
		Balances: pallet_balances = 4,
		TransactionPayment: pallet_transaction_payment = 5,
		Sudo: pallet_sudo = 6,
		// The platform's SDK knows the pallet by this index.
		TickStream: pallet_tick_stream = 7,
		Utility: pallet_utility = 8,
	}
);

parameter_types! {
	pub const Version: RuntimeVersion = VERSION;
	pub const BlockHashCount: BlockNumber = 4096;
	pub const Ss58Prefix: u8 = 42;
	pub const ExistentialDeposit: Balance = EXISTENTIAL_DEPOSIT;
	pub const TickStreamPalletId: PalletId = PalletId(*b"vk/ticks");
	pub const OperatorBond: Balance = 100 * UNIT;
	pub FeeMultiplier: Multiplier = Multiplier::from_u32(1);
	pub BlockWeights: limits::BlockWeights =
		limits::BlockWeights::with_sensible_defaults(MAX_BLOCK_WEIGHT, NORMAL_RATIO);
	pub BlockLength: limits::BlockLength = limits::BlockLength::builder()
		.max_length(MAX_BLOCK_BYTES)
		.modify_max_length_for_class(DispatchClass::Normal, |length| *length = NORMAL_RATIO * MAX_BLOCK_BYTES)
		.build();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
	type Block = Block;
	type BlockHashCount = BlockHashCount;
	type BlockWeights = BlockWeights;
	type BlockLength = BlockLength;
	type AccountId = AccountId;
	type Nonce = Nonce;
	type Hash = Hash;
	type Version = Version;
	type DbWeight = RocksDbWeight;
	type AccountData = pallet_balances::AccountData<Balance>;
	type SS58Prefix = Ss58Prefix;
	type MaxConsumers = ConstU32<16>;
}

impl pallet_timestamp::Config for Runtime {
	type Moment = u64;
	type OnTimestampSet = ();
	// Blocks come as fast as the author likes (instant seal): time must not go back, that is all.
	type MinimumPeriod = ConstU64<0>;
	type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl pallet_balances::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeHoldReason = RuntimeHoldReason;
	type RuntimeFreezeReason = RuntimeFreezeReason;
	type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
	type Balance = Balance;
	type DustRemoval = ();
	type ExistentialDeposit = ExistentialDeposit;
	type AccountStore = System;
	type ReserveIdentifier = [u8; 8];
	type FreezeIdentifier = RuntimeFreezeReason;
	type MaxLocks = ConstU32<50>;
	type MaxReserves = ConstU32<50>;
	type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
	type DoneSlashHandler = ();
}

impl pallet_transaction_payment::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	// Fees are burnt: there is nobody here to pay them to.
	type OnChargeTransaction = FungibleAdapter<Balances, ()>;
	type OperationalFeeMultiplier = ConstU8<5>;
	type WeightToFee = IdentityFee<Balance>;
	type LengthToFee = IdentityFee<Balance>;
	// `()` would set the multiplier to zero at the end of every block, and weight would be free.
	type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
	type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

impl pallet_sudo::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeCall = RuntimeCall;
	type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

impl pallet_utility::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeCall = RuntimeCall;
	type PalletsOrigin = OriginCaller;
	type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

impl pallet_tick_stream::Config for Runtime {
	type RuntimeHoldReason = RuntimeHoldReason;
	type Currency = Balances;
	type Time = Timestamp;
	type ForceOrigin = EnsureRoot<AccountId>;
	type WeightInfo = pallet_tick_stream::weights::SubstrateWeight<Runtime>;
	type PalletId = TickStreamPalletId;
	// The largest batch must fit an extrinsic even at its worst: every entry another stream with a full split table.
	type MaxEntries = ConstU32<512>;
	type MaxTitleLen = ConstU32<128>;
	type MaxSplits = ConstU32<8>;
	type MaxPriceVersions = ConstU32<16>;
	type MaxSessionPrices = ConstU32<8>;
	type MaxViewersPerStream = ConstU32<1_000_000>;
	type MaxTicksPerBatch = ConstU32<256>;
	type OutcomesKept = ConstU32<1024>;
	type TickBurst = ConstU64<120>;
	type TickRatePpm = ConstU32<1_100_000>;
	type WithdrawNotice = ConstU64<3600>;
	type CreditNotice = ConstU64<600>;
	type PriceNotice = ConstU64<60>;
	type OperatorBond = OperatorBond;
	type MaxJoinDuration = ConstU64<{ 30 * DAYS }>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = Clock;
}

/// Sets pallet-timestamp, which is the pallet's clock.
#[cfg(feature = "runtime-benchmarks")]
pub struct Clock;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_tick_stream::BenchmarkHelper for Clock {
	fn set_time(seconds: u64) {
		Timestamp::set_timestamp(seconds * 1_000);
	}
}
