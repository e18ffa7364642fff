//! `settle`: the batch, and every reason for which an entry of it is refused.

use super::*;
use crate::{Error, Operators, Outcome, Sessions, StreamInfo, WeightInfo};
use frame_support::{assert_noop, dispatch::Pays};

fn session(join: u32) -> crate::Session<Test> {
	Sessions::<Test>::get((STREAM, VIEWER, join)).expect("joined")
}

fn stream() -> crate::Stream<Test> {
	StreamInfo::<Test>::get(STREAM).expect("made")
}

#[test]
fn an_entry_is_64_bytes_and_a_batch_hashes_as_the_book_writes_it() {
	use sp_core::crypto::AccountId32;
	let one = Entry {
		stream: 1,
		viewer: AccountId32::new([0xAA; 32]),
		join: 2,
		version: 3,
		ticks: 0x0102_0304_0506_0708,
	};
	let bytes = vec![one].encode();
	let mut wanted = vec![4u8, 1];
	wanted.extend([0; 15]);
	wanted.extend([0xAA; 32]);
	wanted.extend([2, 0, 0, 0, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
	assert_eq!(bytes, wanted);
	assert_eq!(bytes.len(), 1 + 64);
	// metering.chain.entries.batch_hash of the same entry.
	let book = "808298e3f1fe7db8388b608b520ece15f92e0674322aff0584445c4a03492f49";
	assert_eq!(
		sp_core::hexdisplay::HexDisplay::from(&blake2_256(&bytes)).to_string(),
		book
	);
}

#[test]
fn a_batch_moves_money_once_and_says_so() {
	act(|| {
		with_viewer(&[(PAYEE, 100_000)]);
		events();
		System::reset_events();
		let batch = [entry(VIEWER, 1, 1, 100)];
		let done = send(OPERATOR, 1, &batch).unwrap();
		assert_eq!(done.pays_fee, Pays::No);
		let (operator, hash) = (OPERATOR, hash_of(&batch));
		let said = Event::BatchSettled {
			operator,
			seq: 1,
			hash,
			entries: 1,
			refused: 0,
			ticks: 100,
			amount: 100_000,
		};
		// One event in all: none for each token that moves.
		assert_eq!(System::events().len(), 1);
		assert_eq!(events(), [said]);
		let row = Operators::<Test>::get(OPERATOR).unwrap();
		assert_eq!((row.last_seq, row.last_hash), (1, hash));
		let refused = Default::default();
		let outcome = Outcome {
			hash,
			entries: 1,
			ticks: 100,
			amount: 100_000,
			block: 1,
			refused,
		};
		assert_eq!(Outcomes::<Test>::get(OPERATOR, 1), Some(outcome));
		assert_eq!((session(1).ticks, session(1).amount), (100, 100_000));
		assert_eq!(session(1).by_price.to_vec(), [(1, 100)]);
		assert_eq!((stream().total_ticks, stream().total_amount), (100, 100_000));
		assert_eq!(
			(held(VIEWER), credit_of(CREATOR), credit_of(PAYEE)),
			(999_900_000, 90_000, 10_000)
		);
	});
}

#[test]
fn only_the_next_number_with_the_right_hash_of_an_operator_is_taken() {
	act(|| {
		with_viewer(&[]);
		let batch = [entry(VIEWER, 1, 1, 5)];
		assert_noop!(send(VIEWER, 1, &batch), Error::<Test>::NotRegistered);
		assert_noop!(send(OPERATOR, 0, &batch), Error::<Test>::AlreadySettled);
		assert_noop!(send(OPERATOR, 2, &batch), Error::<Test>::SequenceGap);
		assert_noop!(send(OPERATOR, u64::MAX, &batch), Error::<Test>::SequenceGap);
		let bounded: BoundedVec<_, _> = batch.to_vec().try_into().unwrap();
		let wrong = TickStream::settle(by(OPERATOR), 1, H256::zero(), bounded);
		assert_eq!(
			wrong.map_err(|one| one.error),
			Err(Error::<Test>::HashMismatch.into())
		);
		assert_ok!(send(OPERATOR, 1, &batch));
		assert_noop!(send(OPERATOR, 1, &batch), Error::<Test>::AlreadySettled);
		assert_noop!(send(OPERATOR, 3, &batch), Error::<Test>::SequenceGap);
		// The same entries under the next number change nothing.
		let before = (session(1), stream(), held(VIEWER), credit_of(CREATOR));
		assert_ok!(send(OPERATOR, 2, &batch));
		assert_eq!((session(1), stream(), held(VIEWER), credit_of(CREATOR)), before);
		let outcome = Outcomes::<Test>::get(OPERATOR, 2).unwrap();
		assert_eq!((outcome.entries, outcome.ticks, outcome.amount), (1, 0, 0));
	});
}

#[test]
fn the_last_number_of_all_is_the_last() {
	act(|| {
		with_stream(&[]);
		Operators::<Test>::mutate(OPERATOR, |one| one.as_mut().unwrap().last_seq = u64::MAX);
		assert_noop!(send(OPERATOR, u64::MAX, &[]), Error::<Test>::AlreadySettled);
		assert_noop!(send(OPERATOR, 0, &[]), Error::<Test>::AlreadySettled);
	});
}

#[test]
fn entries_are_cumulative() {
	act(|| {
		with_viewer(&[]);
		// In one batch or in several, in any order, twice or less than before: the highest counts.
		assert!(settle(&[
			entry(VIEWER, 1, 1, 5),
			entry(VIEWER, 1, 1, 8),
			entry(VIEWER, 1, 1, 8)
		])
		.is_empty());
		assert!(settle(&[entry(VIEWER, 1, 1, 3), entry(VIEWER, 1, 1, 0)]).is_empty());
		// Nothing new needs no price: a version that never was has no ticks either.
		assert_eq!(settle_one(entry(VIEWER, 1, 77, 0)), None);
		assert_eq!(
			(session(1).ticks, session(1).by_price.to_vec()),
			(8, vec![(1, 8)])
		);
		assert_eq!(held(VIEWER), 1_000_000_000 - 8 * PRICE);
	});
}

#[test]
fn one_bad_entry_leaves_the_others_alone() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(TickStream::deposit(by(VIEWER + 1), OPERATOR, 50_000));
		assert_ok!(TickStream::join_with_caps(
			by(VIEWER + 1),
			STREAM,
			10_000,
			PRICE,
			100
		));
		let other = Entry {
			stream: 9,
			..entry(VIEWER, 1, 1, 1)
		};
		let batch = [
			other.clone(),
			entry(VIEWER, 1, 1, 10),
			entry(VIEWER, 2, 1, 10),
			entry(VIEWER + 1, 1, 1, 11),
			other,
			entry(VIEWER + 1, 1, 1, 10),
		];
		events();
		let refused = settle(&batch);
		let wanted = [
			(0, Refusal::NoStream),
			(2, Refusal::NoSession),
			(3, Refusal::SpendCap),
			(4, Refusal::NoStream),
		];
		assert_eq!(refused, wanted);
		let mut said: Vec<_> = wanted
			.iter()
			.map(|(index, reason)| Event::EntryRefused {
				operator: OPERATOR,
				seq: 1,
				index: *index,
				reason: *reason,
			})
			.collect();
		let hash = hash_of(&batch);
		let (operator, amount) = (OPERATOR, 20 * PRICE);
		said.push(Event::BatchSettled {
			operator,
			seq: 1,
			hash,
			entries: 6,
			refused: 4,
			ticks: 20,
			amount,
		});
		assert_eq!(events(), said);
		assert_eq!(
			(stream().total_ticks, crate::TickCount::<Test>::get(STREAM)),
			(20, 20)
		);
		assert_eq!(credit_of(CREATOR), 20 * PRICE);
	});
}

#[test]
fn refused_for_the_stream_or_the_join() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(TickStream::register_operator(by(OPERATOR + 1)));
		let mine = TickStream::create_stream(by(CREATOR), 7, OPERATOR + 1, title(""), 1, splits(&[]));
		assert_ok!(mine);
		let of = |stream, viewer, join| Entry {
			stream,
			..entry(viewer, join, 1, 1)
		};
		let reasons = settle(&[
			of(8, VIEWER, 1),
			of(7, VIEWER, 1),
			of(STREAM, VIEWER + 1, 1),
			of(STREAM, VIEWER, 0),
		]);
		let wanted = [
			Refusal::NoStream,
			Refusal::NotOperator,
			Refusal::NoSession,
			Refusal::NoSession,
		];
		assert_eq!(reasons.iter().map(|one| one.1).collect::<Vec<_>>(), wanted);
	});
}

#[test]
fn refused_for_the_price() {
	act(|| {
		with_stream(&[]);
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 1_000_000));
		assert_ok!(TickStream::join_with_caps(
			by(VIEWER),
			STREAM,
			u128::MAX,
			2_000,
			86_400
		));
		let set = |price, from| TickStream::set_price(by(CREATOR), STREAM, price, from);
		assert_ok!(set(2_000, START + 60));
		assert_ok!(set(2_001, START + 70));
		assert_ok!(set(1, START + 80));
		assert_eq!(settle_one(entry(VIEWER, 1, 5, 1)), Some(Refusal::NoPrice));
		assert_eq!(settle_one(entry(VIEWER, 1, 0, 1)), Some(Refusal::NoPrice));
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 1)), Some(Refusal::PriceNotYet));
		advance(60);
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 1)), None);
		advance(20);
		assert_eq!(settle_one(entry(VIEWER, 1, 3, 1)), Some(Refusal::PriceAboveCap));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), None);
		// Two versions have ticks: no third, but more at the two.
		assert_eq!(settle_one(entry(VIEWER, 1, 4, 1)), Some(Refusal::TooManyPrices));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 2)), None);
		assert_eq!(session(1).by_price.to_vec(), [(2, 1), (1, 2)]);
		assert_eq!(held(VIEWER), 1_000_000 - 2_000 - 2 * PRICE);
	});
}

/// Whether an entry for 1 tick is taken up to the end of the notice after `end`, and not after it.
fn taken_until_the_notice_after(end: u64) {
	advance(end + NOTICE - TickStream::now());
	assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), None);
	advance(1);
	assert_eq!(settle_one(entry(VIEWER, 1, 1, 2)), Some(Refusal::Ended));
	assert_eq!(
		settle_one(entry(VIEWER, 1, 1, 1)),
		None,
		"nothing new is no refusal"
	);
}

#[test]
fn a_viewer_who_left_pays_until_the_notice() {
	act(|| {
		with_viewer(&[]);
		advance(50);
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		taken_until_the_notice_after(START + 50);
	});
}

#[test]
fn a_viewer_who_joined_again_pays_until_the_notice() {
	act(|| {
		with_viewer(&[]);
		advance(50);
		assert_ok!(TickStream::join_with_caps(
			by(VIEWER),
			STREAM,
			u128::MAX,
			u128::MAX,
			86_400
		));
		taken_until_the_notice_after(START + 50);
		assert_eq!(settle_one(entry(VIEWER, 2, 1, 9)), None);
		assert_eq!((session(1).ticks, session(2).ticks), (1, 9));
	});
}

#[test]
fn a_join_that_expired_pays_until_the_notice() {
	act(|| {
		with_viewer(&[]);
		taken_until_the_notice_after(START + 86_400);
	});
}

#[test]
fn a_stream_that_closed_is_paid_until_the_notice() {
	act(|| {
		with_viewer(&[]);
		advance(50);
		assert_ok!(TickStream::close_stream(by(CREATOR), STREAM));
		taken_until_the_notice_after(START + 50);
	});
}

#[test]
fn a_reaped_join_is_no_join() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		advance(NOTICE + 1);
		assert_ok!(TickStream::reap_session(by(VIEWER), STREAM, VIEWER, 1));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), Some(Refusal::NoSession));
	});
}

#[test]
fn ticks_grow_with_the_burst_and_the_rate() {
	act(|| {
		with_viewer(&[]);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, BURST + 1)), Some(Refusal::TooFast));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, BURST)), None);
		advance(9);
		// floor(1.1 * 9) = 9.
		assert_eq!(
			settle_one(entry(VIEWER, 1, 1, BURST + 10)),
			Some(Refusal::TooFast)
		);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, BURST + 9)), None);
		advance(1);
		assert_eq!(
			settle_one(entry(VIEWER, 1, 1, BURST + 12)),
			Some(Refusal::TooFast)
		);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, BURST + 11)), None);
		// The end of the join stops the clock.
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		advance(1_000);
		assert_eq!(
			settle_one(entry(VIEWER, 1, 1, BURST + 12)),
			Some(Refusal::TooFast)
		);
	});
}

#[test]
fn the_rate_is_of_all_versions_together() {
	act(|| {
		with_viewer(&[]);
		assert_ok!(TickStream::set_price(
			by(CREATOR),
			STREAM,
			1,
			START + PRICE_NOTICE
		));
		advance(PRICE_NOTICE);
		let most = BURST + 66;
		assert_eq!(settle_one(entry(VIEWER, 1, 1, most - 10)), None);
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 11)), Some(Refusal::TooFast));
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 10)), None);
	});
}

#[test]
fn what_a_join_may_cost_is_bounded_by_its_cap_and_the_escrow() {
	act(|| {
		with_stream(&[]);
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 12_500));
		assert_ok!(TickStream::join_with_caps(by(VIEWER), STREAM, 10_000, PRICE, 100));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 11)), Some(Refusal::SpendCap));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 10)), None);
		assert_ok!(TickStream::join_with_caps(by(VIEWER), STREAM, 10_000, PRICE, 100));
		assert_eq!(settle_one(entry(VIEWER, 2, 1, 3)), Some(Refusal::Escrow));
		assert_eq!(settle_one(entry(VIEWER, 2, 1, 2)), None);
		assert_eq!((held(VIEWER), session(2).amount), (500, 2_000));
		// A deposit makes the refused ticks good: the same entry is taken.
		assert_ok!(TickStream::deposit(by(VIEWER), OPERATOR, 500));
		assert_eq!(settle_one(entry(VIEWER, 2, 1, 3)), None);
		assert_eq!(held(VIEWER), 0);
	});
}

#[test]
fn a_hold_that_was_slashed_refuses_the_entry_and_not_the_batch() {
	use frame_support::traits::{fungible::MutateHold, tokens};
	new_test_ext().execute_with(|| {
		with_viewer(&[]);
		// Not by this pallet: another one with the power to burn what is held.
		let (all, force) = (tokens::Precision::Exact, tokens::Fortitude::Force);
		let reason = crate::HoldReason::TickEscrow.into();
		assert_ok!(Balances::burn_held(&reason, &VIEWER, 999_999_500, all, force));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 1)), Some(Refusal::Escrow));
		assert_eq!((session(1).ticks, credit_of(CREATOR)), (0, 0));
	});
}

#[test]
fn a_free_stream_needs_no_escrow() {
	act(|| {
		assert_ok!(TickStream::register_operator(by(OPERATOR)));
		let free =
			TickStream::create_stream(by(CREATOR), STREAM, OPERATOR, title(""), 0, splits(&[(PAYEE, 1)]));
		assert_ok!(free);
		assert_ok!(TickStream::join_with_caps(by(VIEWER), STREAM, 0, 0, 100));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 100)), None);
		assert_eq!(
			(session(1).ticks, stream().total_ticks, credit_of(PAYEE)),
			(100, 100, 0)
		);
		assert!(!crate::Escrows::<Test>::contains_key(OPERATOR, VIEWER));
	});
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
	act(|| {
		with_viewer(&[]);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 2)), None);
		// Ticks of all versions together.
		assert_ok!(TickStream::set_price(
			by(CREATOR),
			STREAM,
			u128::MAX,
			START + PRICE_NOTICE
		));
		advance(PRICE_NOTICE);
		assert_eq!(settle_one(entry(VIEWER, 1, 2, u64::MAX)), Some(Refusal::Overflow));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, u64::MAX)), Some(Refusal::TooFast));
		// Their cost, and the cost of all.
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 2)), Some(Refusal::Overflow));
		assert_eq!(settle_one(entry(VIEWER, 1, 2, 1)), Some(Refusal::Overflow));
		StreamInfo::<Test>::mutate(STREAM, |one| one.as_mut().unwrap().total_ticks = u64::MAX);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 3)), Some(Refusal::Overflow));
		StreamInfo::<Test>::mutate(STREAM, |one| {
			let one = one.as_mut().unwrap();
			(one.total_ticks, one.total_amount) = (2, u128::MAX);
		});
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 3)), Some(Refusal::Overflow));
		assert_eq!(held(VIEWER), 1_000_000_000 - 2 * PRICE);
	});
}

#[test]
fn outcomes_lie_in_a_ring() {
	act(|| {
		with_viewer(&[]);
		for ticks in 1..=KEPT + 3 {
			assert_eq!(settle_one(entry(VIEWER, 1, 1, ticks)), None);
		}
		let mut kept: Vec<_> = Outcomes::<Test>::iter_key_prefix(OPERATOR).collect();
		kept.sort();
		assert_eq!(kept, (4..=KEPT + 3).collect::<Vec<_>>());
	});
}

#[test]
fn streams_in_any_order_come_to_the_same() {
	act(|| {
		with_viewer(&[]);
		let second = TickStream::create_stream(by(CREATOR + 1), 2, OPERATOR, title(""), 7, splits(&[]));
		assert_ok!(second);
		assert_ok!(TickStream::join_with_caps(by(VIEWER), 2, u128::MAX, 7, 100));
		let two = |ticks| Entry {
			stream: 2,
			..entry(VIEWER, 1, 1, ticks)
		};
		let batch = [
			entry(VIEWER, 1, 1, 1),
			two(1),
			entry(VIEWER, 1, 1, 2),
			two(3),
			two(2),
		];
		assert!(settle(&batch).is_empty());
		assert_eq!(
			(
				stream().total_ticks,
				StreamInfo::<Test>::get(2).unwrap().total_ticks
			),
			(2, 3)
		);
		assert_eq!((credit_of(CREATOR), credit_of(CREATOR + 1)), (2 * PRICE, 21));
	});
}

#[test]
fn the_weight_is_that_of_what_was_done() {
	act(|| {
		with_viewer(&[]);
		let all: Vec<_> = (1..=8).map(|ticks| entry(VIEWER, 1, 1, ticks.min(4))).collect();
		let weigh = |seq| {
			send(OPERATOR, seq, &all)
				.unwrap()
				.actual_weight
				.expect("an actual weight")
		};
		let most = TickStream::settle_weight(8, 1);
		// Four settle something, four come twice; then all do.
		let (half, none) = (weigh(1), weigh(2));
		assert!(
			none.all_lte(half) && half.all_lte(most),
			"{none:?} {half:?} {most:?}"
		);
		assert!(
			none.ref_time() < half.ref_time() && half.ref_time() < most.ref_time(),
			"{none:?} {half:?} {most:?}"
		);
		// Before: no more streams than entries, and no more than the worst there is.
		let apart: Vec<_> = (0..4)
			.map(|stream| Entry {
				stream,
				..entry(VIEWER, 1, 1, 1)
			})
			.collect();
		assert_eq!(
			(TickStream::streams_of(&all), TickStream::streams_of(&apart)),
			(1, 4)
		);
		assert_eq!(TickStream::streams_of(&[]), 0);
		let worst = <() as WeightInfo>::settle(4);
		assert!(
			TickStream::settle_weight(4, 1).all_lt(worst) && TickStream::settle_weight(4, 4).all_lte(worst)
		);
	});
}

#[test]
fn the_largest_batch_fits_a_block() {
	use frame_support::traits::Hooks;
	<TickStream as Hooks<u64>>::integrity_test();
}
