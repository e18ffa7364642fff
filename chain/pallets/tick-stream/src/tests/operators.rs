//! Operators: bond, registration, the way out.

use super::*;
use crate::{Error, HoldReason, Operator, Operators};
use frame_support::{assert_noop, traits::fungible::InspectHold};

fn bond_of(who: u64) -> u128 {
	Balances::balance_on_hold(&HoldReason::OperatorBond.into(), &who)
}

#[test]
fn registering_holds_the_bond() {
	act(|| {
		assert_ok!(TickStream::register_operator(by(OPERATOR)));
		assert_eq!(bond_of(OPERATOR), BOND);
		assert_eq!(Balances::free_balance(OPERATOR), RICH - BOND);
		let row = Operator {
			bond: BOND,
			active: true,
			last_seq: 0,
			last_hash: H256::zero(),
			released_at: None,
		};
		assert_eq!(Operators::<Test>::get(OPERATOR), Some(row));
		assert_eq!(
			events(),
			[Event::OperatorRegistered {
				operator: OPERATOR,
				bond: BOND
			}]
		);
		assert_noop!(
			TickStream::register_operator(by(OPERATOR)),
			Error::<Test>::AlreadyRegistered
		);
		assert_noop!(
			TickStream::register_operator(RuntimeOrigin::root()),
			sp_runtime::DispatchError::BadOrigin
		);
	});
}

#[test]
fn a_bond_that_is_not_there_registers_nobody() {
	act(|| {
		let poor = sp_runtime::TokenError::FundsUnavailable;
		assert_noop!(TickStream::register_operator(by(PAYEE)), poor);
	});
}

#[test]
fn no_operator_before_the_pot_lives() {
	act(|| {
		let pot = TickStream::pot();
		let rest = frame_support::traits::tokens::Preservation::Expendable;
		assert_ok!(
			<Balances as frame_support::traits::fungible::Mutate<u64>>::transfer(&pot, &VIEWER, ED, rest)
		);
		assert_noop!(
			TickStream::register_operator(by(OPERATOR)),
			Error::<Test>::PotMissing
		);
		assert_ok!(Balances::transfer_keep_alive(by(VIEWER), pot, ED));
		assert_ok!(TickStream::register_operator(by(OPERATOR)));
	});
}

#[test]
fn the_bond_leaves_after_the_notice_and_the_sequence_stays() {
	act(|| {
		with_viewer(&[]);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 5)), None);
		assert_noop!(
			TickStream::release_bond(by(OPERATOR)),
			Error::<Test>::NothingToRelease
		);
		assert_noop!(TickStream::release_bond(by(VIEWER)), Error::<Test>::NotRegistered);
		assert_noop!(
			TickStream::deregister_operator(by(VIEWER)),
			Error::<Test>::NotRegistered
		);
		events();

		assert_ok!(TickStream::deregister_operator(by(OPERATOR)));
		assert_eq!(events(), [Event::OperatorDeregistered { operator: OPERATOR }]);
		assert_noop!(
			TickStream::deregister_operator(by(OPERATOR)),
			Error::<Test>::NotActive
		);
		let batch = [entry(VIEWER, 1, 1, 6)];
		assert_noop!(send(OPERATOR, 2, &batch), Error::<Test>::NotActive);
		assert_noop!(
			TickStream::register_operator(by(OPERATOR)),
			Error::<Test>::AlreadyRegistered
		);

		advance(NOTICE - 1);
		assert_noop!(TickStream::release_bond(by(OPERATOR)), Error::<Test>::NotYet);
		advance(1);
		assert_ok!(TickStream::release_bond(by(OPERATOR)));
		assert_eq!(
			events(),
			[Event::BondReleased {
				operator: OPERATOR,
				amount: BOND
			}]
		);
		assert_eq!((bond_of(OPERATOR), Balances::free_balance(OPERATOR)), (0, RICH));
		assert_noop!(
			TickStream::release_bond(by(OPERATOR)),
			Error::<Test>::NothingToRelease
		);
		assert_noop!(send(OPERATOR, 2, &batch), Error::<Test>::NotRegistered);
		assert_noop!(
			TickStream::deposit(by(VIEWER), OPERATOR, 1),
			Error::<Test>::NotRegistered
		);

		assert_ok!(TickStream::register_operator(by(OPERATOR)));
		let row = Operators::<Test>::get(OPERATOR).unwrap();
		assert_eq!(
			(row.last_seq, row.last_hash),
			(1, hash_of(&[entry(VIEWER, 1, 1, 5)]))
		);
		assert_noop!(send(OPERATOR, 1, &batch), Error::<Test>::AlreadySettled);
		assert_ok!(send(OPERATOR, 2, &batch));
		assert_eq!(held(VIEWER), 1_000_000_000 - 6 * PRICE);
	});
}

#[test]
fn the_force_origin_switches_an_operator_off_and_on() {
	act(|| {
		let root = RuntimeOrigin::root;
		let absent = TickStream::set_operator_active(root(), OPERATOR, false);
		assert_eq!(absent, Err(Error::<Test>::NotRegistered.into()));
		with_viewer(&[]);
		let signed = TickStream::set_operator_active(by(OPERATOR), OPERATOR, true);
		assert_eq!(signed, Err(sp_runtime::DispatchError::BadOrigin));
		events();

		assert_ok!(TickStream::set_operator_active(root(), OPERATOR, false));
		assert_eq!(
			events(),
			[Event::OperatorActivitySet {
				operator: OPERATOR,
				active: false
			}]
		);
		assert_noop!(
			send(OPERATOR, 1, &[entry(VIEWER, 1, 1, 5)]),
			Error::<Test>::NotActive
		);
		assert_noop!(
			TickStream::deposit(by(VIEWER), OPERATOR, 1),
			Error::<Test>::NotActive
		);
		let another = TickStream::create_stream(by(CREATOR), 2, OPERATOR, title(""), 1, splits(&[]));
		assert_eq!(another, Err(Error::<Test>::NotActive.into()));
		// It cannot switch itself on again, nor leave with its bond.
		assert_noop!(
			TickStream::register_operator(by(OPERATOR)),
			Error::<Test>::AlreadyRegistered
		);
		assert_noop!(
			TickStream::deregister_operator(by(OPERATOR)),
			Error::<Test>::NotActive
		);
		assert_noop!(
			TickStream::release_bond(by(OPERATOR)),
			Error::<Test>::NothingToRelease
		);
		// The viewer's money leaves all the same.
		assert_ok!(TickStream::request_withdraw(by(VIEWER), OPERATOR, 1_000_000_000));
		advance(NOTICE);
		assert_ok!(TickStream::withdraw_escrow(by(VIEWER), OPERATOR));

		assert_ok!(TickStream::set_operator_active(root(), OPERATOR, true));
		assert_ok!(send(OPERATOR, 1, &[]));
		assert_ok!(TickStream::deregister_operator(by(OPERATOR)));
		let gone = TickStream::set_operator_active(root(), OPERATOR, true);
		assert_eq!(gone, Err(Error::<Test>::NotRegistered.into()));
	});
}
