//! Tests of the pallet on the mock runtime. `act` runs one and checks the whole storage after it.
//!
//! Longer runs: `TICKS_SEQUENCES=100000 cargo test --release -p pallet-tick-stream random`, and with
//! `TICKS_SEED=n` another seed. That the adversary's test notices a missing rate check:
//! `cargo test -p pallet-tick-stream --features sabotage-rate adversary` (it is expected to panic there).

mod adversary;
mod credit;
mod escrow;
mod joins;
mod migration;
mod operators;
mod random;
mod reference;
mod settle;
mod state;
mod streams;

use crate::{mock::*, Entry, Event, Outcomes, Refusal, Split};
use codec::Encode;
use frame_support::{assert_ok, dispatch::DispatchResultWithPostInfo, BoundedVec};
use sp_core::H256;
use sp_io::hashing::blake2_256;

/// The stream of most tests, and its price in planck per tick.
pub const STREAM: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
pub const PRICE: u128 = 1_000;

/// Run a test on a fresh chain and check all storage and the issuance after it.
pub fn act(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		let issued = Balances::total_issuance();
		test();
		assert_ok!(TickStream::do_try_state());
		assert_eq!(Balances::total_issuance(), issued);
	});
}

/// Move the clock.
pub fn advance(seconds: u64) {
	Timestamp::set_timestamp((TickStream::now() + seconds) * 1_000);
}

/// An origin signed by an account.
pub fn by(who: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

/// Splits as a call takes them.
pub fn splits(of: &[(u64, u32)]) -> BoundedVec<Split<u64>, <Test as crate::Config>::MaxSplits> {
	let all: Vec<_> = of
		.iter()
		.map(|(account, ppm)| Split {
			account: *account,
			ppm: *ppm,
		})
		.collect();
	all.try_into().expect("few enough splits")
}

/// A title as a call takes it.
pub fn title(text: &str) -> BoundedVec<u8, <Test as crate::Config>::MaxTitleLen> {
	text.as_bytes().to_vec().try_into().expect("short enough")
}

/// Register `OPERATOR` and make `STREAM`.
pub fn with_stream(shares: &[(u64, u32)]) {
	assert_ok!(TickStream::register_operator(by(OPERATOR)));
	let made = TickStream::create_stream(by(CREATOR), STREAM, OPERATOR, title("t"), PRICE, splits(shares));
	assert_ok!(made);
}

/// `with_stream`, then `VIEWER` deposits 10^9 planck and joins for a day with wide caps.
pub fn with_viewer(shares: &[(u64, u32)]) {
	with_stream(shares);
	assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 1_000_000_000));
	assert_ok!(TickStream::join_with_caps(
		by(VIEWER),
		STREAM,
		u128::MAX,
		u128::MAX,
		86_400
	));
}

/// An entry of `STREAM`.
pub fn entry(viewer: u64, join: u32, version: u32, ticks: u64) -> Entry<u64> {
	Entry {
		stream: STREAM,
		viewer,
		join,
		version,
		ticks,
	}
}

/// The hash that `settle` wants.
pub fn hash_of(entries: &[Entry<u64>]) -> H256 {
	H256(blake2_256(&entries.encode()))
}

/// Send a batch as it is.
pub fn send(who: u64, seq: u64, entries: &[Entry<u64>]) -> DispatchResultWithPostInfo {
	let bounded = entries.to_vec().try_into().expect("few enough entries");
	TickStream::settle(by(who), seq, hash_of(entries), bounded)
}

/// Send `OPERATOR`'s next batch, which takes effect, and return what was refused of it.
pub fn settle(entries: &[Entry<u64>]) -> Vec<(u32, Refusal)> {
	let seq = crate::Operators::<Test>::get(OPERATOR).map_or(0, |one| one.last_seq) + 1;
	assert_ok!(send(OPERATOR, seq, entries));
	Outcomes::<Test>::get(OPERATOR, seq)
		.expect("a batch leaves an outcome")
		.refused
		.into_inner()
}

/// Settle one entry: None when it was taken.
pub fn settle_one(one: Entry<u64>) -> Option<Refusal> {
	settle(&[one]).first().map(|(_, reason)| *reason)
}

/// The pallet's events since the last look.
pub fn events() -> Vec<Event<Test>> {
	let all = System::events();
	System::reset_events();
	all.into_iter()
		.filter_map(|one| match one.event {
			RuntimeEvent::TickStream(event) => Some(event),
			_ => None,
		})
		.collect()
}

/// What a viewer has in escrow with `OPERATOR`.
pub fn held(viewer: u64) -> u128 {
	crate::Escrows::<Test>::get(OPERATOR, viewer).held
}

/// All credit of an account, available or not.
pub fn credit_of(who: u64) -> u128 {
	crate::Credits::<Test>::get(who).total()
}
