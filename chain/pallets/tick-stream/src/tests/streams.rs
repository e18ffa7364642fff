//! Streams, prices, and the platform's own count.

use super::*;
use crate::{BatchedTicks, Error, PriceVersion, Status, Stream, StreamInfo, TickCount};
use frame_support::assert_noop;

fn stream() -> Stream<Test> {
	StreamInfo::<Test>::get(STREAM).expect("made")
}

fn set_price(price: u128, from: u64) -> frame_support::dispatch::DispatchResult {
	TickStream::set_price(by(CREATOR), STREAM, price, from)
}

#[test]
fn a_stream_begins_open_with_its_first_price() {
	act(|| {
		with_stream(&[(PAYEE, 400_000), (PAYEE + 1, 600_000)]);
		let made = stream();
		assert_eq!(
			(made.creator, made.operator, made.title.to_vec()),
			(CREATOR, OPERATOR, b"t".to_vec())
		);
		assert_eq!(
			made.prices.to_vec(),
			[PriceVersion {
				number: 1,
				price: PRICE,
				from: START
			}]
		);
		assert_eq!(
			(made.status, made.closed_at, made.created_at),
			(Status::Open, None, START)
		);
		assert_eq!((made.total_ticks, made.total_amount, made.viewers), (0, 0, 0));
		assert_eq!(
			events()[1..],
			[
				Event::StreamCreated {
					stream_id: STREAM,
					creator: CREATOR,
					operator: OPERATOR
				},
				Event::PriceSet {
					stream_id: STREAM,
					number: 1,
					price: PRICE,
					from: START
				},
			]
		);
	});
}

#[test]
fn what_no_stream_is_made_of() {
	act(|| {
		with_stream(&[]);
		let make = |id, operator, shares: &[(u64, u32)]| {
			TickStream::create_stream(by(CREATOR), id, operator, title(""), 1, splits(shares))
		};
		assert_noop!(make(STREAM, OPERATOR, &[]), Error::<Test>::StreamExists);
		assert_noop!(make(2, OPERATOR + 1, &[]), Error::<Test>::NotRegistered);
		assert_noop!(
			make(2, OPERATOR, &[(PAYEE, 1_000_000), (PAYEE, 1)]),
			Error::<Test>::BadSplits
		);
		assert_noop!(
			make(2, OPERATOR, &[(PAYEE, u32::MAX), (PAYEE, 2)]),
			Error::<Test>::BadSplits
		);
		assert_ok!(make(2, OPERATOR, &[(PAYEE, 1_000_000)]));
	});
}

#[test]
fn a_price_needs_notice_and_order() {
	act(|| {
		with_stream(&[]);
		let soonest = START + PRICE_NOTICE;
		assert_noop!(set_price(2, soonest - 1), Error::<Test>::PriceTooSoon);
		assert_noop!(
			TickStream::set_price(by(VIEWER), STREAM, 2, soonest),
			Error::<Test>::Unauthorized
		);
		assert_noop!(
			TickStream::set_price(by(CREATOR), 9, 2, soonest),
			Error::<Test>::StreamNotFound
		);
		events();
		assert_ok!(set_price(2, soonest));
		assert_eq!(
			events(),
			[Event::PriceSet {
				stream_id: STREAM,
				number: 2,
				price: 2,
				from: soonest
			}]
		);
		assert_noop!(set_price(3, soonest), Error::<Test>::PriceTooSoon);
		assert_ok!(set_price(3, soonest + 1));
		assert_eq!(
			stream().prices.iter().map(|one| one.number).collect::<Vec<_>>(),
			[1, 2, 3]
		);
	});
}

#[test]
fn the_oldest_price_is_forgotten_only_when_no_tick_can_need_it() {
	act(|| {
		with_stream(&[]);
		for number in 2..=4 {
			assert_ok!(set_price(number, START + PRICE_NOTICE * (number as u64 - 1)));
		}
		let second_from = START + PRICE_NOTICE;
		advance(second_from + NOTICE - START);
		assert_noop!(
			set_price(5, second_from + NOTICE + 100),
			Error::<Test>::TooManyPrices
		);
		advance(1);
		assert_ok!(set_price(5, second_from + NOTICE + 100));
		assert_eq!(
			stream().prices.iter().map(|one| one.number).collect::<Vec<_>>(),
			[2, 3, 4, 5]
		);
	});
}

#[test]
fn price_numbers_do_not_wrap() {
	act(|| {
		with_stream(&[]);
		StreamInfo::<Test>::mutate(STREAM, |one| one.as_mut().unwrap().prices[0].number = u32::MAX);
		assert_noop!(set_price(2, START + PRICE_NOTICE), Error::<Test>::Overflow);
	});
}

#[test]
fn a_closed_stream_takes_nothing_new() {
	act(|| {
		with_viewer(&[]);
		assert_noop!(
			TickStream::close_stream(by(VIEWER), STREAM),
			Error::<Test>::Unauthorized
		);
		assert_noop!(
			TickStream::close_stream(by(CREATOR), 9),
			Error::<Test>::StreamNotFound
		);
		advance(5);
		events();
		assert_ok!(TickStream::close_stream(by(CREATOR), STREAM));
		assert_eq!(events(), [Event::StreamClosed { stream_id: STREAM }]);
		assert_eq!(
			(stream().status, stream().closed_at),
			(Status::Closed, Some(START + 5))
		);
		assert_noop!(
			TickStream::close_stream(by(CREATOR), STREAM),
			Error::<Test>::StreamClosed
		);
		assert_noop!(set_price(2, START + 1_000), Error::<Test>::StreamClosed);
		let join = TickStream::join_with_caps(by(VIEWER), STREAM, 1, 1, 1);
		assert_eq!(join, Err(Error::<Test>::StreamClosed.into()));
	});
}

#[test]
fn record_tick_counts_and_moves_no_money() {
	act(|| {
		with_viewer(&[]);
		let record = |who, viewer, ticks| TickStream::record_tick(by(who), STREAM, viewer, ticks);
		assert_noop!(record(CREATOR, VIEWER, 1), Error::<Test>::Unauthorized);
		assert_noop!(
			TickStream::record_tick(by(OPERATOR), 9, VIEWER, 1),
			Error::<Test>::StreamNotFound
		);
		events();
		assert_ok!(record(OPERATOR, VIEWER, 7));
		assert_eq!(
			events(),
			[Event::TickRecorded {
				stream_id: STREAM,
				viewer: VIEWER,
				ticks: 7
			}]
		);
		for ticks in [8, 9, 10] {
			assert_ok!(record(OPERATOR, VIEWER + 1, ticks));
		}
		// Three are kept.
		let kept = [(VIEWER + 1, 8), (VIEWER + 1, 9), (VIEWER + 1, 10)];
		assert_eq!(BatchedTicks::<Test>::get(STREAM).to_vec(), kept);
		assert_eq!((TickCount::<Test>::get(STREAM), stream().total_ticks), (34, 0));
		assert_eq!((held(VIEWER), credit_of(CREATOR)), (1_000_000_000, 0));
		// It stops at the end of a u32, and `settle` adds to the same count.
		assert_ok!(record(OPERATOR, VIEWER, u32::MAX - 40));
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 3)), None);
		assert_eq!(
			(TickCount::<Test>::get(STREAM), stream().total_ticks),
			(u32::MAX - 3, 3)
		);
		assert_eq!(settle_one(entry(VIEWER, 1, 1, 30)), None);
		assert_eq!(
			(TickCount::<Test>::get(STREAM), stream().total_ticks),
			(u32::MAX, 30)
		);
	});
}
