//! Money in, and out again without the operator.

use super::*;
use crate::{Error, Escrow, Escrows, HoldReason, Withdrawal};
use frame_support::{assert_noop, traits::fungible::InspectHold};

fn on_hold() -> u128 {
	Balances::balance_on_hold(&HoldReason::TickEscrow.into(), &VIEWER)
}

fn request(amount: u128) -> frame_support::dispatch::DispatchResult {
	TickStream::request_withdraw(by(VIEWER), OPERATOR, amount)
}

#[test]
fn a_deposit_is_on_hold_for_one_operator() {
	act(|| {
		assert_noop!(
			TickStream::deposit(by(VIEWER), OPERATOR, 5),
			Error::<Test>::NotRegistered
		);
		with_stream(&[]);
		assert_ok!(TickStream::register_operator(by(OPERATOR + 1)));
		assert_noop!(
			TickStream::deposit(by(VIEWER), OPERATOR, 0),
			Error::<Test>::ZeroAmount
		);
		// The existential deposit stays free.
		let poor = sp_runtime::TokenError::FundsUnavailable;
		assert_noop!(TickStream::deposit(by(VIEWER), OPERATOR, RICH - ED + 1), poor);
		events();
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 700));
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR + 1, 50));
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 300));
		let viewer = VIEWER;
		assert_eq!(
			events(),
			[
				Event::EscrowDeposited {
					viewer,
					operator: OPERATOR,
					amount: 700,
					held: 700
				},
				Event::EscrowDeposited {
					viewer,
					operator: OPERATOR + 1,
					amount: 50,
					held: 50
				},
				Event::EscrowDeposited {
					viewer,
					operator: OPERATOR,
					amount: 300,
					held: 1_000
				},
			]
		);
		assert_eq!((on_hold(), held(VIEWER)), (1_050, 1_000));
		assert_eq!(Balances::free_balance(VIEWER), RICH - 1_050);
	});
}

#[test]
fn one_operators_ticks_never_touch_anothers_escrow() {
	act(|| {
		with_stream(&[]);
		assert_ok!(TickStream::register_operator(by(OPERATOR + 1)));
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR + 1, 1_000_000));
		assert_ok!(TickStream::join_with_caps(
			by(VIEWER),
			STREAM,
			u128::MAX,
			u128::MAX,
			100
		));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), Some(Refusal::Escrow));
		assert_eq!(on_hold(), 1_000_000);
	});
}

#[test]
fn escrow_leaves_after_the_notice_without_the_operator() {
	act(|| {
		with_viewer(&[]);
		assert_noop!(
			TickStream::withdraw_escrow(by(VIEWER), OPERATOR),
			Error::<Test>::NoWithdrawal
		);
		assert_noop!(
			TickStream::request_withdraw(by(VIEWER), 9, 1),
			Error::<Test>::NoEscrow
		);
		assert_noop!(request(1_000_000_001), Error::<Test>::NotEnough);
		events();
		assert_ok!(request(400_000_000));
		let (viewer, operator, ready_at) = (VIEWER, OPERATOR, START + NOTICE);
		assert_eq!(
			events(),
			[Event::WithdrawRequested {
				viewer,
				operator,
				amount: 400_000_000,
				ready_at
			}]
		);
		advance(NOTICE - 1);
		assert_noop!(
			TickStream::withdraw_escrow(by(VIEWER), OPERATOR),
			Error::<Test>::NotYet
		);
		advance(1);
		assert_ok!(TickStream::withdraw_escrow(by(VIEWER), OPERATOR));
		let (amount, left) = (400_000_000, 600_000_000);
		assert_eq!(
			events(),
			[Event::EscrowWithdrawn {
				viewer,
				operator,
				amount,
				held: left
			}]
		);
		assert_eq!(
			(held(VIEWER), on_hold(), Balances::free_balance(VIEWER)),
			(left, left, RICH - left)
		);
		assert_noop!(
			TickStream::withdraw_escrow(by(VIEWER), OPERATOR),
			Error::<Test>::NoWithdrawal
		);
	});
}

#[test]
fn a_new_request_replaces_the_old_one_and_zero_cancels() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(request(5));
		advance(NOTICE - 10);
		// More, later: the notice begins anew.
		assert_ok!(request(1_000_000_000));
		let asked = Withdrawal {
			amount: 1_000_000_000,
			ready_at: START + 2 * NOTICE - 10,
		};
		assert_eq!(Escrows::<Test>::get(OPERATOR, VIEWER).withdrawal, Some(asked));
		advance(10);
		assert_noop!(
			TickStream::withdraw_escrow(by(VIEWER), OPERATOR),
			Error::<Test>::NotYet
		);
		assert_ok!(request(0));
		assert_eq!(
			Escrows::<Test>::get(OPERATOR, VIEWER),
			Escrow {
				held: 1_000_000_000,
				withdrawal: None
			}
		);
		assert_noop!(
			TickStream::withdraw_escrow(by(VIEWER), OPERATOR),
			Error::<Test>::NoWithdrawal
		);
	});
}

#[test]
fn ticks_within_the_notice_are_paid_first() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(request(1_000_000_000));
		advance(10);
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		advance(NOTICE - 10);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 100)), None);
		assert_ok!(TickStream::withdraw_escrow(by(VIEWER), OPERATOR));
		assert_eq!((held(VIEWER), on_hold()), (0, 0));
		assert_eq!(Balances::free_balance(VIEWER), RICH - 100 * PRICE);
		assert!(!Escrows::<Test>::contains_key(OPERATOR, VIEWER));
		assert_noop!(request(0), Error::<Test>::NoEscrow);
	});
}

#[test]
fn an_escrow_that_ticks_used_up_gives_back_nothing() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(request(1_000_000_000));
		assert_ok!(TickStream::set_price(
			by(CREATOR),
			STREAM,
			10_000_000,
			START + PRICE_NOTICE
		));
		advance(NOTICE);
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 100)), None);
		assert_eq!(held(VIEWER), 0);
		assert_ok!(TickStream::withdraw_escrow(by(VIEWER), OPERATOR));
		assert_eq!(Balances::free_balance(VIEWER), RICH - 1_000_000_000);
	});
}
