//! Units of money, time and block space that the runtime and its genesis share.

use crate::Balance;
use frame_support::weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight};
use sp_runtime::Perbill;

/// Decimals of the token, as wallets show it.
pub const DECIMALS: u32 = 12;
/// One token, in planck.
pub const UNIT: Balance = 1_000_000_000_000;
/// The least an account may hold, in planck: a millionth of a token.
pub const EXISTENTIAL_DEPOSIT: Balance = 1_000_000;

/// Milliseconds from block to block; also what `AuraApi::slot_duration` answers.
pub const BLOCK_MS: u64 = 6_000;
/// Seconds of a day: the pallet counts time in whole seconds.
pub const DAYS: u64 = 86_400;

/// 2 s of computing in every block of 6 s. A solo chain has no proof of validity, so its size is without limit.
pub const MAX_BLOCK_WEIGHT: Weight = Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX);
/// Bytes of extrinsics in a block.
pub const MAX_BLOCK_BYTES: u32 = 5 * 1024 * 1024;
/// What of weight and length ordinary extrinsics may use.
pub const NORMAL_RATIO: Perbill = Perbill::from_percent(75);
