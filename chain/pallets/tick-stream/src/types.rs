//! What the pallet stores and takes. Times are seconds of chain time (Unix), amounts are the smallest
//! unit of the currency (planck), prices are planck per tick, and one tick is one second watched.

use crate::Config;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound};
use scale_info::TypeInfo;
use sp_core::H256;

/// Millionths in a whole: the denominator of splits and of the tick rate.
pub const PPM: u32 = 1_000_000;

/// One line of a batch: how many ticks of one (stream, viewer, join, price version) there are in all.
///
/// 64 bytes when the account takes 32. `ticks` is cumulative, so an entry may come twice or late: what
/// is not above the stored value changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Entry<AccountId> {
	/// Number of the stream: the UUID's value.
	pub stream: u128,
	/// Who watched.
	pub viewer: AccountId,
	/// Which of the viewer's joins of this stream, from 1.
	pub join: u32,
	/// Which price version of the stream, from 1.
	pub version: u32,
	/// Ticks of this join at this version since it began.
	pub ticks: u64,
}

/// Whether a stream takes joins.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Status {
	/// It may be joined.
	Open,
	/// Closed by its creator, for good; entries are taken until the notice has passed.
	Closed,
}

/// Why an entry of a batch changed nothing. The rest of the batch is settled all the same.
#[derive(
	Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Refusal {
	/// No such stream.
	NoStream,
	/// The stream is another operator's.
	NotOperator,
	/// The viewer has no such join, or it was reaped.
	NoSession,
	/// The join ended longer ago than `WithdrawNotice`.
	Ended,
	/// The stream has no such price version (any more).
	NoPrice,
	/// The price version is not in force yet.
	PriceNotYet,
	/// The price is above what the viewer agreed to.
	PriceAboveCap,
	/// The join has ticks at `MaxSessionPrices` other versions.
	TooManyPrices,
	/// More ticks than `TickBurst` and the time since the join allow.
	TooFast,
	/// More than the viewer agreed to spend in this join.
	SpendCap,
	/// The escrow with this operator does not hold the cost.
	Escrow,
	/// A number does not fit its type.
	Overflow,
}

/// Who may settle: bonded, with the number of the last batch that took effect.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Operator {
	/// Planck on hold; 0 once released: then it is not registered, and the row only keeps `last_seq`.
	pub bond: u128,
	/// May settle.
	pub active: bool,
	/// Number of the last batch, 0 before the first.
	pub last_seq: u64,
	/// Hash of the last batch's entries, zeros before the first.
	pub last_hash: H256,
	/// From when on the bond may be taken back; only while deregistered.
	pub released_at: Option<u64>,
}

/// A price that is in force from a second of chain time until the next version is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PriceVersion {
	/// From 1, one more for each.
	pub number: u32,
	/// Planck per tick.
	pub price: u128,
	/// First second in force.
	pub from: u64,
}

/// What part of a stream's earnings goes to an account other than the creator.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Split<AccountId> {
	/// Who gets it.
	pub account: AccountId,
	/// Millionths of the amount.
	pub ppm: u32,
}

/// A stream: who made it, who may report its ticks, what it costs and what it has earned.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(T))]
#[codec(mel_bound())]
pub struct Stream<T: Config> {
	/// Sets prices, closes it, gets what the splits leave.
	pub creator: T::AccountId,
	/// The only account whose batches may name it.
	pub operator: T::AccountId,
	/// UTF-8 by convention; not checked.
	pub title: BoundedVec<u8, T::MaxTitleLen>,
	/// In order of number and of time; never empty.
	pub prices: BoundedVec<PriceVersion, T::MaxPriceVersions>,
	/// At most `PPM` together.
	pub splits: BoundedVec<Split<T::AccountId>, T::MaxSplits>,
	/// Open until the creator closes it.
	pub status: Status,
	/// When it was closed.
	pub closed_at: Option<u64>,
	/// When it was created.
	pub created_at: u64,
	/// Ticks settled.
	pub total_ticks: u64,
	/// Planck settled.
	pub total_amount: u128,
	/// Sessions stored: joins that were not reaped.
	pub viewers: u32,
}

impl<T: Config> Stream<T> {
	/// The price version with this number.
	pub fn price(&self, number: u32) -> Option<&PriceVersion> {
		self.prices.iter().find(|one| one.number == number)
	}
}

/// One join of a viewer to a stream, with what the viewer agreed to and what was settled of it.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(T))]
#[codec(mel_bound())]
pub struct Session<T: Config> {
	/// Planck that this join may cost.
	pub max_spend: u128,
	/// Planck per tick that the viewer pays at most.
	pub max_price: u128,
	/// When it began.
	pub joined_at: u64,
	/// When it ends by itself.
	pub expires_at: u64,
	/// When the viewer left or joined again.
	pub ended_at: Option<u64>,
	/// Ticks settled at all versions.
	pub ticks: u64,
	/// Planck settled.
	pub amount: u128,
	/// (price version, cumulative ticks at it), in the order they first came.
	pub by_price: BoundedVec<(u32, u64), T::MaxSessionPrices>,
}

impl<T: Config> Session<T> {
	/// When it ends as far as is known now; `closed_at` is its stream's.
	pub fn end(&self, closed_at: Option<u64>) -> u64 {
		let left = self.ended_at.unwrap_or(u64::MAX);
		self.expires_at.min(left).min(closed_at.unwrap_or(u64::MAX))
	}
}

/// What a viewer has on hold for one operator's streams.
#[derive(
	Clone, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Escrow {
	/// Planck on hold for this operator.
	pub held: u128,
	/// The part that was asked back.
	pub withdrawal: Option<Withdrawal>,
}

/// Escrow that was asked back: it still pays for ticks until it is taken.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Withdrawal {
	/// Planck asked for.
	pub amount: u128,
	/// From when on it may be taken.
	pub ready_at: u64,
}

/// What an account earned and did not take yet. The tokens lie in the pot.
///
/// What is earned in one notice period is pending in it, maturing in the next and available after, so
/// after between one and two `CreditNotice`.
#[derive(
	Clone, Default, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Credit {
	/// Planck that may be taken, as of `period`.
	pub available: u128,
	/// Planck earned in `period`.
	pub pending: u128,
	/// Planck earned in the period before `period`.
	pub maturing: u128,
	/// Number of the notice period when it was last written: seconds divided by `CreditNotice`.
	pub period: u64,
}

/// A viewer's own default for `join_stream`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Limit {
	/// Planck that a join may cost.
	pub max_spend: u128,
	/// Planck per tick that a join pays at most.
	pub max_price: u128,
	/// Seconds after which a join ends by itself.
	pub duration: u64,
}

/// What became of a batch.
#[derive(
	CloneNoBound,
	PartialEqNoBound,
	EqNoBound,
	DebugNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	MaxEncodedLen,
	TypeInfo,
)]
#[scale_info(skip_type_params(T))]
#[codec(mel_bound())]
pub struct Outcome<T: Config> {
	/// Hash of its entries.
	pub hash: H256,
	/// How many entries it had.
	pub entries: u32,
	/// Ticks settled by it.
	pub ticks: u64,
	/// Planck settled by it.
	pub amount: u128,
	/// Number of the block that has it.
	pub block: u32,
	/// Index and reason of each refused entry, in order.
	pub refused: BoundedVec<(u32, Refusal), T::MaxEntries>,
}
