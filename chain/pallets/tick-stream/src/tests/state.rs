//! `try_state` notices what it is there for.

use super::*;
use crate::{Credits, Escrows, Operators, Outcomes, Sessions, StreamInfo};

/// Break the storage of a chain with one settled batch and return what `try_state` says.
fn broken(how: impl FnOnce()) -> &'static str {
	new_test_ext().execute_with(|| {
		with_viewer(&[(PAYEE, 100_000)]);
		assert!(settle(&[entry(VIEWER, 1, 1, 7)]).is_empty());
		assert_ok!(TickStream::do_try_state());
		how();
		match TickStream::do_try_state() {
			Err(sp_runtime::DispatchError::Other(text)) => text,
			other => panic!("try_state says {other:?}"),
		}
	})
}

#[test]
fn every_law_can_be_broken_and_is_noticed() {
	let session = |change: fn(&mut crate::Session<Test>)| {
		Sessions::<Test>::mutate((STREAM, VIEWER, 1), |one| change(one.as_mut().unwrap()))
	};
	let stream = |change: fn(&mut crate::Stream<Test>)| {
		StreamInfo::<Test>::mutate(STREAM, |one| change(one.as_mut().unwrap()))
	};
	let operator = |change: fn(&mut crate::Operator)| {
		Operators::<Test>::mutate(OPERATOR, |one| change(one.as_mut().unwrap()))
	};
	let escrow = || Escrows::<Test>::mutate(OPERATOR, VIEWER, |one| one.held -= 1);
	assert_eq!(broken(escrow), "a viewer's escrows are not what is on hold");
	assert_eq!(
		broken(|| operator(|one| one.bond += 1)),
		"an operator's bond is not what is on hold"
	);
	assert_eq!(
		broken(|| operator(|one| one.released_at = Some(1))),
		"an operator is active and deregistered"
	);
	let credit = || Credits::<Test>::mutate(PAYEE, |one| one.maturing += 1_000_000);
	assert_eq!(broken(credit), "credits are more than the pot");
	assert_eq!(
		broken(|| session(|one| one.ticks += 1)),
		"a session's ticks are not those of its versions"
	);
	assert_eq!(
		broken(|| session(|one| one.max_spend = 6_999)),
		"a session spent more than its cap"
	);
	assert_eq!(
		broken(|| session(|one| one.max_price = 999)),
		"a session paid more than its price cap"
	);
	let many = || {
		session(|one| {
			one.ticks = 1_000_000;
			one.by_price[0].1 = 1_000_000;
		})
	};
	assert_eq!(broken(many), "a session has too many ticks");
	let unknown = || {
		let one = Sessions::<Test>::take((STREAM, VIEWER, 1)).unwrap();
		Sessions::<Test>::insert((STREAM, VIEWER, 2), one);
	};
	assert_eq!(broken(unknown), "a session is not among its viewer's joins");
	assert_eq!(
		broken(|| stream(|one| one.viewers += 1)),
		"a stream's viewers are not its sessions"
	);
	assert_eq!(
		broken(|| stream(|one| one.prices.clear())),
		"a stream has no price"
	);
	assert_eq!(
		broken(|| stream(|one| one.splits[0].ppm = PPM_OVER)),
		"a stream's splits are more than the whole"
	);
	assert_eq!(
		broken(|| stream(|one| one.closed_at = Some(1))),
		"a stream is half closed"
	);
	let old = || {
		let one = Outcomes::<Test>::get(OPERATOR, 1).unwrap();
		Outcomes::<Test>::insert(OPERATOR, 2, one);
	};
	assert_eq!(broken(old), "an outcome is outside the ring");
}

const PPM_OVER: u32 = crate::PPM + 1;
