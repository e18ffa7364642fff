//! Random sequences of calls: whatever comes in whatever order, `try_state` holds, no planck is made or
//! lost, the pot has exactly what is owed, and every batch does what the model says.

use super::{reference::settle_as_modelled, *};
use crate::{Error, LastJoin, Operators, Sessions, StreamInfo};
use frame_support::{
	dispatch::DispatchResult,
	storage::{with_transaction, TransactionOutcome},
};
use sp_runtime::{DispatchError, ModuleError};
use std::collections::BTreeMap;

/// Xorshift64*: numbers that a seed fixes.
pub struct Dice(u64);

impl Dice {
	/// Different seeds give different runs, and so do their neighbours.
	pub fn new(seed: u64) -> Self {
		let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
		(0..4).for_each(|_| {
			dice.roll();
		});
		dice
	}

	fn roll(&mut self) -> u64 {
		self.0 ^= self.0 >> 12;
		self.0 ^= self.0 << 25;
		self.0 ^= self.0 >> 27;
		self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
	}

	/// Below `end`.
	pub fn below(&mut self, end: u64) -> u64 {
		self.roll() % end
	}

	/// True once in `times`.
	pub fn once_in(&mut self, times: u64) -> bool {
		self.below(times) == 0
	}

	/// One of a list.
	pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
		from[self.below(from.len() as u64) as usize]
	}
}

/// A number from the environment, or a default.
pub fn setting(name: &str, default: u64) -> u64 {
	match std::env::var(name) {
		Ok(text) => text
			.parse()
			.unwrap_or_else(|_| panic!("{name}={text} is no number")),
		Err(_) => default,
	}
}

/// Run `sequence` for `TICKS_SEQUENCES` seeds from `TICKS_SEED` on, each on the chain that `prepare`
/// leaves, and say which seed failed.
pub fn many(default: u64, prepare: impl FnOnce(), mut sequence: impl FnMut(&mut Dice)) {
	let (first, count) = (setting("TICKS_SEED", 1), setting("TICKS_SEQUENCES", default));
	println!("TICKS_SEED={first} TICKS_SEQUENCES={count}");
	new_test_ext().execute_with(|| {
		prepare();
		System::reset_events();
		for seed in first..first + count {
			let told = Told(seed);
			let _ = with_transaction(|| {
				sequence(&mut Dice::new(seed));
				TransactionOutcome::Rollback(Ok::<_, DispatchError>(()))
			});
			std::mem::forget(told);
		}
	});
}

/// Says its seed when a panic passes by.
struct Told(u64);

impl Drop for Told {
	fn drop(&mut self) {
		eprintln!("failed at TICKS_SEED={} TICKS_SEQUENCES=1", self.0);
	}
}

/// What came out how often: calls that succeeded, errors, refusals.
#[derive(Default)]
struct Seen(BTreeMap<String, u64>);

impl Seen {
	fn add(&mut self, what: impl Into<String>) {
		*self.0.entry(what.into()).or_default() += 1;
	}

	fn outcome(&mut self, call: &str, result: DispatchResult) {
		match result {
			Ok(()) => self.add(call),
			Err(DispatchError::Module(ModuleError { message, .. })) => self.add(message.unwrap_or("?")),
			Err(DispatchError::Token(error)) => self.add(format!("Token::{error:?}")),
			Err(other) => panic!("{call} says {other:?}"),
		}
	}
}

/// The last one is there to be made.
const STREAMS: [u128; 4] = [1, 2, 3, 4];
const OPERATORS: [u64; 2] = [OPERATOR, OPERATOR + 1];
const CREATORS: [u64; 2] = [CREATOR, CREATOR + 1];
const VIEWERS: [u64; 3] = [VIEWER, VIEWER + 1, VIEWER + 2];
const WAITS: [u64; 8] = [1, 7, 60, 121, CREDIT_NOTICE, NOTICE - 1, NOTICE, NOTICE + 1];
const AMOUNTS: [u128; 7] = [0, 1, 999, 30_000, 1_000_000, RICH, u128::MAX];
const PRICES: [u128; 6] = [0, 1, 7, PRICE, 12_345, u128::MAX / 3];
const DURATIONS: [u64; 6] = [0, 1, 100, 3_600, DURATION_MAX, DURATION_MAX + 1];

fn any_splits(dice: &mut Dice) -> Vec<(u64, u32)> {
	let tables: [&[(u64, u32)]; 5] = [
		&[],
		&[(PAYEE, 100_000)],
		&[(PAYEE, 333_333), (PAYEE + 1, 333_333), (CREATOR, 333_334)],
		&[(PAYEE, 125_000); 8],
		&[(PAYEE, 600_000), (PAYEE + 1, 600_000)],
	];
	dice.pick(&tables).to_vec()
}

fn any_entry(dice: &mut Dice, operator: u64) -> Entry<u64> {
	let mine = |id: &u128| StreamInfo::<Test>::get(id).is_some_and(|one| one.operator == operator);
	let own: Vec<_> = STREAMS.into_iter().filter(mine).collect();
	let stream = match dice.below(20) {
		0 => 9,
		1..=2 => dice.pick(&STREAMS),
		_ if own.is_empty() => 1,
		_ => dice.pick(&own),
	};
	let viewer = dice.pick(&VIEWERS);
	let last = LastJoin::<Test>::get(stream, viewer);
	let join = if dice.once_in(4) {
		last.saturating_sub(dice.below(3) as u32)
	} else {
		last
	};
	let newest =
		StreamInfo::<Test>::get(stream).map_or(1, |one| one.prices.last().map_or(1, |price| price.number));
	let version = if dice.once_in(3) {
		dice.below(u64::from(newest) + 2) as u32
	} else {
		newest.min(2)
	};
	let session = Sessions::<Test>::get((stream, viewer, join));
	let stored = session.as_ref().map_or(0, |one| {
		one.by_price
			.iter()
			.find(|price| price.0 == version)
			.map_or(0, |price| price.1)
	});
	let ticks = match dice.below(12) {
		0 => stored,
		1 => stored.saturating_sub(dice.below(5)),
		2 => u64::MAX - dice.below(3),
		3 => stored + 1_000_000,
		4..=5 => {
			// As much as the rate allows, or one more.
			let lived = session
				.as_ref()
				.map_or(0, |one| TickStream::now().min(one.expires_at) - one.joined_at);
			let others = session.as_ref().map_or(0, |one| one.ticks - stored);
			TickStream::ticks_allowed(lived).saturating_sub(others) + dice.below(2)
		}
		_ => stored + 1 + dice.below(60),
	};
	Entry {
		stream,
		viewer,
		join,
		version,
		ticks,
	}
}

fn settle_any(dice: &mut Dice, seen: &mut Seen) {
	let operator = dice.pick(&OPERATORS);
	let entries: Vec<_> = (0..dice.below(7)).map(|_| any_entry(dice, operator)).collect();
	let row = Operators::<Test>::get(operator);
	let (last, able) = row.map_or((0, false), |one| (one.last_seq, one.active));
	let wrong = dice.below(12);
	if able && wrong > 2 {
		for reason in settle_as_modelled(operator, &entries) {
			seen.add(format!("{reason:?}"));
		}
		seen.add("settle");
		return;
	}
	let seq = if wrong == 1 {
		last + 2
	} else if wrong == 2 {
		last
	} else {
		last + 1
	};
	let hash = if wrong == 0 {
		H256::zero()
	} else {
		hash_of(&entries)
	};
	let sent = TickStream::settle(by(operator), seq, hash, entries.try_into().unwrap());
	assert!(sent.is_err(), "{sent:?} of a batch that is wrong");
	seen.outcome("settle", sent.map(drop).map_err(|one| one.error));
}

fn call_any(dice: &mut Dice, seen: &mut Seen) {
	let (operator, creator, viewer) = (dice.pick(&OPERATORS), dice.pick(&CREATORS), dice.pick(&VIEWERS));
	let (stream, amount) = (dice.pick(&STREAMS), dice.pick(&AMOUNTS));
	let stream = if dice.once_in(30) { 9 } else { stream };
	let now = TickStream::now();
	match dice.below(50) {
		0..=9 => advance(dice.pick(&WAITS)),
		10..=19 => settle_any(dice, seen),
		20..=22 => seen.outcome("deposit", TickStream::deposit(by(viewer), operator, amount)),
		23..=25 => {
			let duration = dice.pick(&DURATIONS);
			let (spend, price) = (dice.pick(&AMOUNTS), dice.pick(&[0, 7, PRICE, u128::MAX]));
			let joined = TickStream::join_with_caps(by(viewer), stream, spend, price, duration);
			seen.outcome("join_with_caps", joined);
		}
		26 => seen.outcome("join_stream", TickStream::join_stream(by(viewer), stream)),
		27..=28 => seen.outcome("leave_stream", TickStream::leave_stream(by(viewer), stream)),
		29 => {
			let duration = dice.pick(&DURATIONS);
			seen.outcome(
				"set_limit",
				TickStream::set_limit(by(viewer), amount, u128::MAX, duration),
			);
		}
		30..=31 => {
			let from = now + dice.pick(&[0, PRICE_NOTICE, PRICE_NOTICE + 1, 200]);
			seen.outcome(
				"set_price",
				TickStream::set_price(by(creator), stream, dice.pick(&PRICES), from),
			);
		}
		32 => {
			let held = crate::Escrows::<Test>::get(operator, viewer).held;
			let asked = dice.pick(&[0, 1, held, held.saturating_add(1)]);
			seen.outcome(
				"request_withdraw",
				TickStream::request_withdraw(by(viewer), operator, asked),
			);
		}
		33..=34 => {
			// Whoever asked first, if anyone did.
			let asked = crate::Escrows::<Test>::iter().find(|one| one.2.withdrawal.is_some());
			let (operator, viewer) = asked.map_or((operator, viewer), |one| (one.0, one.1));
			seen.outcome(
				"withdraw_escrow",
				TickStream::withdraw_escrow(by(viewer), operator),
			);
		}
		35..=36 => {
			let who = dice.pick(&[PAYEE, PAYEE + 1, CREATOR, CREATOR + 1, VIEWER]);
			seen.outcome("withdraw_credit", TickStream::withdraw_credit(by(who)));
		}
		37 => {
			let join = LastJoin::<Test>::get(stream, viewer).saturating_sub(dice.below(4) as u32);
			seen.outcome(
				"reap_session",
				TickStream::reap_session(by(creator), stream, viewer, join),
			);
		}
		38 => seen.outcome(
			"record_tick",
			TickStream::record_tick(by(operator), stream, viewer, amount as u32),
		),
		39 => {
			let shares = any_splits(dice);
			let price = dice.pick(&PRICES);
			let made =
				TickStream::create_stream(by(creator), stream, operator, title(""), price, splits(&shares));
			seen.outcome("create_stream", made);
		}
		40 if dice.once_in(4) => seen.outcome("close_stream", TickStream::close_stream(by(creator), stream)),
		41 | 46 => seen.outcome("register_operator", TickStream::register_operator(by(operator))),
		42 if dice.once_in(2) => seen.outcome(
			"deregister_operator",
			TickStream::deregister_operator(by(operator)),
		),
		42..=44 => seen.outcome("release_bond", TickStream::release_bond(by(operator))),
		45 => {
			let set = TickStream::set_operator_active(RuntimeOrigin::root(), operator, !dice.once_in(4));
			seen.outcome("set_operator_active", set);
		}
		47..=48 => {
			let price = dice.pick(&[1, 7, PRICE]);
			seen.outcome(
				"set_price",
				TickStream::set_price(by(creator), stream, price, now + PRICE_NOTICE),
			);
		}
		_ => advance(1),
	}
}

/// The pot has its existential deposit and what is owed, to the planck.
fn the_pot_is_what_is_owed() {
	let owed: u128 = crate::Credits::<Test>::iter_values().map(|one| one.total()).sum();
	assert_eq!(Balances::free_balance(TickStream::pot()), ED + owed);
}

/// Two operators, three streams of which the first operator has two, all viewers with escrow.
fn a_busy_chain() {
	for operator in OPERATORS {
		assert_ok!(TickStream::register_operator(by(operator)));
	}
	let tables: [&[(u64, u32)]; 3] = [&[(PAYEE, 100_000)], &[], &[(PAYEE, 1), (PAYEE + 1, 999_999)]];
	for (at, stream) in STREAMS.into_iter().take(3).enumerate() {
		let (creator, operator) = (CREATORS[at % 2], OPERATORS[at / 2]);
		let made = TickStream::create_stream(
			by(creator),
			stream,
			operator,
			title("t"),
			PRICE,
			splits(tables[at]),
		);
		assert_ok!(made);
		for number in [2, 3] {
			let from = START + PRICE_NOTICE + number;
			assert_ok!(TickStream::set_price(
				by(creator),
				stream,
				PRICE / u128::from(number),
				from
			));
		}
	}
	for viewer in VIEWERS {
		assert_ok!(TickStream::deposit(by(viewer), OPERATOR, 3_000_000));
		for stream in &STREAMS[..3] {
			assert_ok!(TickStream::join_with_caps(
				by(viewer),
				*stream,
				u128::MAX,
				u128::MAX,
				10_000
			));
		}
	}
}

#[test]
fn random_calls_keep_every_law() {
	let mut seen = Seen::default();
	many(400, a_busy_chain, |dice| {
		let issued = Balances::total_issuance();
		for _ in 0..40 {
			call_any(dice, &mut seen);
		}
		assert_ok!(TickStream::do_try_state());
		assert_eq!(Balances::total_issuance(), issued);
		the_pot_is_what_is_owed();
	});
	println!("{:#?}", seen.0);
	if setting("TICKS_SEQUENCES", 400) >= 400 {
		let missed: Vec<_> = WANTED
			.iter()
			.filter(|what| !seen.0.contains_key(**what))
			.collect();
		assert!(missed.is_empty(), "the sequences never came to {missed:?}");
	}
}

/// Every call, every error that a small world can come to, every refusal.
const WANTED: &[&str] = &[
	"record_tick",
	"join_stream",
	"settle",
	"register_operator",
	"deregister_operator",
	"release_bond",
	"create_stream",
	"set_price",
	"close_stream",
	"set_limit",
	"join_with_caps",
	"leave_stream",
	"deposit",
	"request_withdraw",
	"withdraw_escrow",
	"withdraw_credit",
	"reap_session",
	"set_operator_active",
	"AlreadySettled",
	"SequenceGap",
	"HashMismatch",
	"NotRegistered",
	"AlreadyRegistered",
	"NotActive",
	"StreamNotFound",
	"StreamExists",
	"StreamClosed",
	"Unauthorized",
	"PriceTooSoon",
	"NoLimit",
	"BadDuration",
	"NotJoined",
	"NoSession",
	"NotYet",
	"ZeroAmount",
	"NoEscrow",
	"NotEnough",
	"NoWithdrawal",
	"NothingToRelease",
	"NothingToWithdraw",
	"Token::FundsUnavailable",
	"NoStream",
	"NotOperator",
	"Ended",
	"NoPrice",
	"PriceNotYet",
	"PriceAboveCap",
	"TooManyPrices",
	"TooFast",
	"SpendCap",
	"Escrow",
	"Overflow",
];

#[test]
fn the_dice_are_fair_enough_and_fixed_by_the_seed() {
	let mut first = Dice::new(1);
	let mut again = Dice::new(1);
	let mut counts = [0; 6];
	for _ in 0..6_000 {
		let face = first.below(6);
		assert_eq!(face, again.below(6));
		counts[face as usize] += 1;
	}
	assert!(
		counts.iter().all(|count| (800..1_200).contains(count)),
		"{counts:?}"
	);
	assert_ne!(Dice::new(1).below(1 << 40), Dice::new(2).below(1 << 40));
}

#[test]
fn an_error_changes_nothing() {
	// FRAME rolls a failed call back; the tests above call functions without it, so nothing may be written
	// before the last check.
	new_test_ext().execute_with(|| {
		a_busy_chain();
		assert_ok!(TickStream::request_withdraw(by(VIEWER), OPERATOR, 5));
		let calls: [(DispatchErrorOf, fn() -> DispatchResult); 4] = [
			(Error::<Test>::NotEnough, || {
				TickStream::request_withdraw(by(VIEWER), OPERATOR, u128::MAX)
			}),
			(Error::<Test>::NotYet, || {
				TickStream::withdraw_escrow(by(VIEWER), OPERATOR)
			}),
			(Error::<Test>::BadDuration, || {
				TickStream::join_with_caps(by(VIEWER), 1, 1, 1, 0)
			}),
			(Error::<Test>::NotYet, || {
				TickStream::reap_session(by(VIEWER), 1, VIEWER, 1)
			}),
		];
		for (error, call) in calls {
			frame_support::assert_noop!(call(), error);
		}
	});
}

type DispatchErrorOf = Error<Test>;
