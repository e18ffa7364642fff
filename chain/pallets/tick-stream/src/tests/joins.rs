//! Joining, leaving, joining again, and what is left behind.

use super::*;
use crate::{Error, LastJoin, Limit, Limits, Session, Sessions, StreamInfo};
use frame_support::assert_noop;

fn session(join: u32) -> Option<Session<Test>> {
	Sessions::<Test>::get((STREAM, VIEWER, join))
}

fn join(duration: u64) -> frame_support::dispatch::DispatchResult {
	TickStream::join_with_caps(by(VIEWER), STREAM, 500, 20, duration)
}

#[test]
fn a_limit_is_the_default_of_a_join() {
	act(|| {
		with_stream(&[]);
		assert_noop!(
			TickStream::join_stream(by(VIEWER), STREAM),
			Error::<Test>::NoLimit
		);
		assert_noop!(
			TickStream::set_limit(by(VIEWER), 1, 1, 0),
			Error::<Test>::BadDuration
		);
		assert_noop!(
			TickStream::set_limit(by(VIEWER), 1, 1, DURATION_MAX + 1),
			Error::<Test>::BadDuration
		);
		events();
		assert_ok!(TickStream::set_limit(by(VIEWER), 500, 20, DURATION_MAX));
		let limit = Limit {
			max_spend: 500,
			max_price: 20,
			duration: DURATION_MAX,
		};
		assert_eq!(Limits::<Test>::get(VIEWER), Some(limit));
		assert_ok!(TickStream::join_stream(by(VIEWER), STREAM));
		let (stream_id, viewer, expires_at) = (STREAM, VIEWER, START + DURATION_MAX);
		assert_eq!(
			events(),
			[
				Event::LimitSet { viewer },
				Event::SessionOpened {
					stream_id,
					viewer,
					join: 1,
					max_spend: 500,
					max_price: 20,
					expires_at
				},
				Event::ViewerJoined { stream_id, viewer },
			]
		);
		let made = session(1).unwrap();
		assert_eq!((made.max_spend, made.max_price), (500, 20));
		assert_eq!(
			(made.joined_at, made.expires_at, made.ended_at),
			(START, expires_at, None)
		);
		assert_eq!((made.ticks, made.amount, made.by_price.len()), (0, 0, 0));
		// The limit is the default only: the join keeps what was agreed then.
		assert_ok!(TickStream::set_limit(by(VIEWER), 1, 1, 1));
		assert_eq!(session(1).unwrap().max_spend, 500);
		assert_noop!(
			TickStream::join_stream(by(VIEWER), 9),
			Error::<Test>::StreamNotFound
		);
	});
}

#[test]
fn what_no_join_is_made_of() {
	act(|| {
		with_stream(&[]);
		assert_noop!(join(0), Error::<Test>::BadDuration);
		assert_noop!(join(DURATION_MAX + 1), Error::<Test>::BadDuration);
		let nowhere = TickStream::join_with_caps(by(VIEWER), 9, 1, 1, 1);
		assert_eq!(nowhere, Err(Error::<Test>::StreamNotFound.into()));
		LastJoin::<Test>::insert(STREAM, VIEWER, u32::MAX);
		assert_noop!(join(1), Error::<Test>::Overflow);
	});
}

#[test]
fn leaving_ends_a_join_once() {
	act(|| {
		with_stream(&[]);
		assert_noop!(
			TickStream::leave_stream(by(VIEWER), STREAM),
			Error::<Test>::NotJoined
		);
		assert_ok!(join(100));
		advance(7);
		events();
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		assert_eq!(
			events(),
			[Event::SessionEnded {
				stream_id: STREAM,
				viewer: VIEWER,
				join: 1
			}]
		);
		assert_eq!(session(1).unwrap().ended_at, Some(START + 7));
		assert_noop!(
			TickStream::leave_stream(by(VIEWER), STREAM),
			Error::<Test>::NotJoined
		);
	});
}

#[test]
fn joining_again_ends_an_open_join_only() {
	act(|| {
		with_stream(&[]);
		let (stream_id, viewer) = (STREAM, VIEWER);
		assert_ok!(join(100));
		advance(99);
		events();
		assert_ok!(join(100));
		assert_eq!(
			events()[0],
			Event::SessionEnded {
				stream_id,
				viewer,
				join: 1
			}
		);
		assert_eq!(session(1).unwrap().ended_at, Some(START + 99));
		assert_eq!(session(2).unwrap().joined_at, START + 99);
		// The second has expired when the third begins: nothing is left to end.
		advance(100);
		assert_ok!(join(100));
		assert!(!events().contains(&Event::SessionEnded {
			stream_id,
			viewer,
			join: 2
		}));
		assert_eq!(session(2).unwrap().ended_at, None);
		assert_eq!(
			(
				LastJoin::<Test>::get(STREAM, VIEWER),
				StreamInfo::<Test>::get(STREAM).unwrap().viewers
			),
			(3, 3)
		);
		// One that left by itself is not ended twice.
		assert_ok!(TickStream::leave_stream(by(VIEWER), STREAM));
		advance(1);
		assert_ok!(join(100));
		assert_eq!(session(3).unwrap().ended_at, Some(START + 199));
	});
}

#[test]
fn sessions_are_bounded_and_reaped_after_the_notice() {
	act(|| {
		with_stream(&[]);
		MaxViewers::set(2);
		let reap = |join| TickStream::reap_session(by(CREATOR), STREAM, VIEWER, join);
		assert_noop!(reap(1), Error::<Test>::NoSession);
		assert_ok!(join(100));
		assert_ok!(join(10));
		assert_noop!(join(10), Error::<Test>::TooManyViewers);
		// Join 1 ended at START, join 2 expires at START + 10.
		advance(NOTICE);
		assert_noop!(reap(1), Error::<Test>::NotYet);
		advance(1);
		events();
		assert_ok!(reap(1));
		assert_eq!(
			events(),
			[Event::SessionReaped {
				stream_id: STREAM,
				viewer: VIEWER,
				join: 1
			}]
		);
		assert_eq!(session(1), None);
		assert_noop!(reap(1), Error::<Test>::NoSession);
		assert_noop!(reap(2), Error::<Test>::NotYet);
		// Numbers go on: no join number comes twice.
		assert_ok!(join(10));
		assert!(session(3).is_some());
		advance(10);
		assert_ok!(reap(2));
		assert_eq!(StreamInfo::<Test>::get(STREAM).unwrap().viewers, 1);
		MaxViewers::set(1_000_000);
	});
}

#[test]
fn a_closed_stream_ends_its_joins() {
	act(|| {
		with_stream(&[]);
		assert_ok!(join(86_400));
		assert_ok!(TickStream::close_stream(by(CREATOR), STREAM));
		advance(NOTICE + 1);
		assert_ok!(TickStream::reap_session(by(OPERATOR), STREAM, VIEWER, 1));
	});
}
