//! Who earns what, when it may be taken, and that no planck is made or lost.

use super::*;
use crate::{credit, Credit, Credits, Error, PPM};
use frame_support::assert_noop;

#[test]
fn a_share_is_the_floor_even_at_the_end_of_the_type() {
	assert_eq!(credit::share(999_999, 1), 0);
	assert_eq!(credit::share(1_000_000, 1), 1);
	assert_eq!(credit::share(1_000_001, 500_000), 500_000);
	assert_eq!(credit::share(u128::MAX, PPM), u128::MAX);
	assert_eq!(credit::share(u128::MAX, 0), 0);
	assert_eq!(credit::share(u128::MAX, 500_000), u128::MAX / 2);
}

#[test]
fn parts_add_up_and_do_not_depend_on_the_cuts() {
	let table = splits(&[(PAYEE, 333_333), (PAYEE + 1, 100_000), (PAYEE + 2, 1)]);
	let whole = credit::divide(&table, 0, 7_000_003);
	assert_eq!(whole, (vec![2_333_331, 700_000, 7], 3_966_665));
	let mut parts = vec![0; 3];
	let mut rest = 0;
	for step in 0..1_000u128 {
		let (more, left) = credit::divide(&table, step * 7_000, (step + 1) * 7_000);
		assert_eq!(more.iter().sum::<u128>() + left, 7_000);
		parts.iter_mut().zip(more).for_each(|(sum, one)| *sum += one);
		rest += left;
	}
	assert_eq!((parts, rest), credit::divide(&table, 0, 7_000_000));
}

#[test]
fn shares_that_step_together_never_give_more_than_there_is() {
	// Eight times an eighth: at the 8th planck each is due one, and there is one.
	let eighths: Vec<_> = (0..8).map(|at| (PAYEE + at, 125_000)).collect();
	let (parts, rest) = credit::divide(&splits(&eighths), 7, 8);
	assert_eq!((parts, rest), (vec![1, 0, 0, 0, 0, 0, 0, 0], 0));
	let (parts, rest) = credit::divide(&splits(&eighths), 0, 8_000);
	assert_eq!((parts, rest), (vec![1_000; 8], 0));
}

#[test]
fn buckets_roll_by_periods() {
	let fresh = Credit {
		available: 1,
		pending: 10,
		maturing: 100,
		period: 5,
	};
	let rolled = |period| {
		let mut one = fresh.clone();
		one.roll(period);
		one
	};
	assert_eq!(rolled(5), fresh);
	assert_eq!(rolled(4), fresh);
	assert_eq!(
		rolled(6),
		Credit {
			available: 101,
			pending: 0,
			maturing: 10,
			period: 6
		}
	);
	assert_eq!(
		rolled(7),
		Credit {
			available: 111,
			pending: 0,
			maturing: 0,
			period: 7
		}
	);
	assert_eq!(
		rolled(u64::MAX),
		Credit {
			available: 111,
			pending: 0,
			maturing: 0,
			period: u64::MAX
		}
	);
}

#[test]
fn a_batch_credits_everyone_and_fills_the_pot() {
	act(|| {
		with_viewer(&[(PAYEE, 100_000), (PAYEE + 1, 250_000)]);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 7)), None);
		assert_eq!(
			(credit_of(PAYEE), credit_of(PAYEE + 1), credit_of(CREATOR)),
			(700, 1_750, 4_550)
		);
		assert_eq!(Balances::free_balance(TickStream::pot()), ED + 7_000);
		assert_eq!(held(VIEWER), 1_000_000_000 - 7_000);
	});
}

#[test]
fn credit_may_be_taken_after_one_to_two_notices() {
	act(|| {
		with_viewer(&[]);
		// START is a multiple of the notice: this credit waits two whole ones.
		assert_eq!(START % CREDIT_NOTICE, 0);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 5)), None);
		advance(2 * CREDIT_NOTICE - 1);
		assert_noop!(
			TickStream::withdraw_credit(by(CREATOR)),
			Error::<Test>::NothingToWithdraw
		);
		// And this one, earned in the last second of its period, a second more than one.
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 7)), None);
		advance(1);
		events();
		assert_ok!(TickStream::withdraw_credit(by(CREATOR)));
		assert_eq!(
			events(),
			[Event::CreditWithdrawn {
				account: CREATOR,
				amount: 5 * PRICE
			}]
		);
		assert_eq!(Balances::free_balance(CREATOR), RICH + 5 * PRICE);
		let left = Credit {
			available: 0,
			pending: 0,
			maturing: 2 * PRICE,
			period: START / CREDIT_NOTICE + 2,
		};
		assert_eq!(Credits::<Test>::get(CREATOR), left);
		assert_noop!(
			TickStream::withdraw_credit(by(CREATOR)),
			Error::<Test>::NothingToWithdraw
		);
		advance(CREDIT_NOTICE);
		assert_ok!(TickStream::withdraw_credit(by(CREATOR)));
		assert!(!Credits::<Test>::contains_key(CREATOR));
		assert_eq!(Balances::free_balance(TickStream::pot()), ED);
		assert_noop!(
			TickStream::withdraw_credit(by(VIEWER)),
			Error::<Test>::NothingToWithdraw
		);
	});
}

#[test]
fn credit_below_the_existential_deposit_stays() {
	act(|| {
		// 0.9 % of 1,000 is 9 planck, one below the existential deposit.
		with_viewer(&[(PAYEE, 9_000)]);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), None);
		advance(2 * CREDIT_NOTICE);
		assert_noop!(
			TickStream::withdraw_credit(by(PAYEE)),
			Error::<Test>::BelowMinimum
		);
		assert_eq!(credit_of(PAYEE), 9);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 2)), None);
		assert_noop!(
			TickStream::withdraw_credit(by(PAYEE)),
			Error::<Test>::BelowMinimum
		);
		advance(2 * CREDIT_NOTICE);
		assert_ok!(TickStream::withdraw_credit(by(PAYEE)));
		assert_eq!((Balances::free_balance(PAYEE), credit_of(PAYEE)), (18, 0));
	});
}
