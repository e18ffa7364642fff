//! Whoever holds the operator's key, and the creator's too, sends the worst entries there are. What each
//! viewer loses is bounded by what that viewer agreed to and by the clock.
//!
//! The bound is worked out here from a diary of what the viewers did, not from what the pallet stores.
//! Built with the feature `sabotage-rate` the pallet does not check the rate: then this must panic, and
//! says so when it does not.

use super::{
	random::{many, Dice},
	*,
};
use crate::{Escrows, LastJoin, StreamInfo};
use std::collections::BTreeMap;

const EVIL: u64 = OPERATOR;
const HONEST: u64 = OPERATOR + 1;
const ACCOMPLICE: u64 = CREATOR;
const VIEWERS: [u64; 3] = [VIEWER, VIEWER + 1, VIEWER + 2];
const STREAMS: [u128; 2] = [1, 2];

/// A join as its viewer remembers it.
struct Join {
	stream: u128,
	viewer: u64,
	number: u32,
	from: u64,
	until: u64,
	max_price: u128,
	max_spend: u128,
}

impl Join {
	/// What it may cost by now: floor(B + r * elapsed) ticks at the agreed price, and within the cap.
	fn bound(&self, now: u64) -> u128 {
		let elapsed = u128::from(now.min(self.until) - self.from);
		let ticks = 120 + elapsed * 11 / 10;
		ticks.saturating_mul(self.max_price).min(self.max_spend)
	}
}

#[derive(Default)]
struct Diary {
	joins: Vec<Join>,
	/// Planck that each viewer put in escrow with the evil operator, less what came back.
	trusted: BTreeMap<u64, u128>,
	/// All that was taken in the sequence.
	taken: u128,
}

impl Diary {
	fn open(&mut self, stream: u128, viewer: u64) -> Option<&mut Join> {
		let now = TickStream::now();
		self.joins
			.iter_mut()
			.rev()
			.find(|one| one.stream == stream && one.viewer == viewer && one.until > now)
	}

	fn join(&mut self, dice: &mut Dice, stream: u128, viewer: u64) {
		let now = TickStream::now();
		let duration = dice.pick(&[5, 300, 4_000]);
		let max_price = dice.pick(&[PRICE, 3 * PRICE]);
		let max_spend = dice.pick(&[100 * PRICE, u128::MAX]);
		if let Some(before) = self.open(stream, viewer) {
			before.until = now;
		}
		assert_ok!(TickStream::join_with_caps(
			by(viewer),
			stream,
			max_spend,
			max_price,
			duration
		));
		let number = LastJoin::<Test>::get(stream, viewer);
		self.joins.push(Join {
			stream,
			viewer,
			number,
			from: now,
			until: now + duration,
			max_price,
			max_spend,
		});
	}

	fn deposit(&mut self, dice: &mut Dice, viewer: u64) {
		let amount = dice.pick(&[50 * PRICE, 5_000 * PRICE]);
		assert_ok!(TickStream::deposit(by(viewer), EVIL, amount));
		*self.trusted.entry(viewer).or_default() += amount;
	}

	fn withdraw(&mut self, viewer: u64) {
		let before = Balances::free_balance(viewer);
		if TickStream::withdraw_escrow(by(viewer), EVIL).is_ok() {
			*self.trusted.entry(viewer).or_default() -= Balances::free_balance(viewer) - before;
		} else {
			let held = Escrows::<Test>::get(EVIL, viewer).held;
			let _ = TickStream::request_withdraw(by(viewer), EVIL, held);
		}
	}

	/// Compare what each viewer lost with what each agreed to.
	fn check(&mut self) {
		let now = TickStream::now();
		self.taken = 0;
		for viewer in VIEWERS {
			let put = self.trusted.get(&viewer).copied().unwrap_or(0);
			let left = Escrows::<Test>::get(EVIL, viewer).held;
			let lost = put.checked_sub(left).expect("no more is left than was put");
			let bound = self
				.joins
				.iter()
				.filter(|one| one.viewer == viewer)
				.fold(0u128, |sum, one| sum.saturating_add(one.bound(now)));
			assert!(
				lost <= bound,
				"viewer {viewer} lost {lost}, agreed to at most {bound} by now: too fast"
			);
			assert_eq!(
				Escrows::<Test>::get(HONEST, viewer).held,
				1_000_000,
				"another operator's escrow"
			);
			assert_eq!(
				Balances::free_balance(viewer) + put + 1_000_000,
				RICH,
				"money outside the escrow"
			);
			self.taken += lost;
		}
	}
}

/// Entries for all joins there ever were, by one who wants all of it: more than can be, as much as the
/// bound may be off by, and the most that the pallet may take, at every version.
fn worst(dice: &mut Dice, diary: &Diary) -> Vec<Entry<u64>> {
	let mut entries = Vec::new();
	for join in &diary.joins {
		let newest = StreamInfo::<Test>::get(join.stream).map_or(1, |one| one.prices.last().unwrap().number);
		let elapsed = TickStream::now().min(join.until) - join.from;
		let most = 120 + elapsed * 11 / 10;
		for version in (newest.saturating_sub(3)..=newest).rev() {
			let greed = [
				u64::MAX,
				1 << 40,
				100_000,
				most + 1,
				most,
				most / 2,
				1 + dice.below(most),
			];
			for ticks in greed {
				let (stream, viewer) = (join.stream, join.viewer);
				entries.push(Entry {
					stream,
					viewer,
					join: join.number,
					version,
					ticks,
				});
				// Joins that never were, and other operators' viewers.
				if dice.once_in(40) {
					entries.push(Entry {
						stream,
						viewer,
						join: join.number + 1,
						version,
						ticks,
					});
				}
			}
		}
	}
	// In this order, or in another.
	for at in (1..entries.len()).rev() {
		if dice.once_in(2) {
			entries.swap(at, dice.below(at as u64 + 1) as usize);
		}
	}
	entries.truncate(500);
	entries
}

fn sequence(dice: &mut Dice) -> u128 {
	let mut diary = Diary::default();
	for _ in 0..25 {
		let (viewer, stream) = (dice.pick(&VIEWERS), dice.pick(&STREAMS));
		match dice.below(10) {
			0..=1 if diary.joins.len() < 10 => diary.join(dice, stream, viewer),
			2..=3 => diary.deposit(dice, viewer),
			4 => {
				if TickStream::leave_stream(by(viewer), stream).is_ok() {
					let now = TickStream::now();
					if let Some(join) = diary.open(stream, viewer) {
						join.until = now;
					}
				}
			}
			5 => diary.withdraw(viewer),
			6 => {
				let from = TickStream::now() + PRICE_NOTICE + dice.below(2);
				let price = dice.pick(&[PRICE, 3 * PRICE, 100 * PRICE]);
				let _ = TickStream::set_price(by(ACCOMPLICE), stream, price, from);
			}
			7..=8 => advance(dice.pick(&[1, 10, 61, 1_000, NOTICE])),
			_ => {
				let seq = crate::Operators::<Test>::get(EVIL).unwrap().last_seq + 1;
				assert_ok!(send(EVIL, seq, &worst(dice, &diary)));
			}
		}
		diary.check();
	}
	assert_ok!(TickStream::do_try_state());
	diary.taken
}

#[test]
#[cfg_attr(all(test, feature = "sabotage-rate"), should_panic(expected = "too fast"))]
fn adversary_with_the_operators_key_takes_no_more_than_was_agreed() {
	let mut taken = 0u128;
	many(
		300,
		|| {
			for operator in [EVIL, HONEST] {
				assert_ok!(TickStream::register_operator(by(operator)));
			}
			for stream in STREAMS {
				let made =
					TickStream::create_stream(by(ACCOMPLICE), stream, EVIL, title(""), PRICE, splits(&[]));
				assert_ok!(made);
			}
			for viewer in VIEWERS {
				assert_ok!(TickStream::deposit(by(viewer), HONEST, 1_000_000));
			}
		},
		|dice| taken = taken.saturating_add(sequence(dice)),
	);
	// It did try: something was there to take.
	println!("taken in all: {taken}");
	assert!(taken > 0);
}

#[test]
fn adversary_who_waits_gets_the_bound_exactly_and_not_a_tick_more() {
	act(|| {
		with_stream(&[]);
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 1_000_000_000));
		assert_ok!(TickStream::join_with_caps(
			by(VIEWER),
			STREAM,
			u128::MAX,
			PRICE,
			1_000
		));
		advance(2_000);
		// 120 + 1.1 * 1000: the join ended after 1,000 s, the other 1,000 give nothing.
		let most = 120 + 1_100;
		if !cfg!(feature = "sabotage-rate") {
			assert_eq!(settle_one(entry(VIEWER, 1, 1, most + 1)), Some(Refusal::TooFast));
		}
		assert_eq!(settle_one(entry(VIEWER, 1, 1, most)), None);
		assert_eq!(held(VIEWER), 1_000_000_000 - u128::from(most) * PRICE);
	});
}
