//! How a join begins.

use crate::{Config, Error, Event, LastJoin, Limit, Pallet, Session, Sessions, Status, StreamInfo};
use frame_support::{dispatch::DispatchResult, ensure, traits::Get, BoundedVec};

impl<T: Config> Pallet<T> {
	/// Errors: `BadDuration`, of a duration in seconds.
	pub(crate) fn check_duration(duration: u64) -> Result<(), Error<T>> {
		ensure!(
			duration > 0 && duration <= T::MaxJoinDuration::get(),
			Error::<T>::BadDuration
		);
		Ok(())
	}

	/// Open a viewer's next join; one that is still open ends now.
	pub(crate) fn do_join(viewer: T::AccountId, stream_id: u128, caps: Limit) -> DispatchResult {
		let mut stream = StreamInfo::<T>::get(stream_id).ok_or(Error::<T>::StreamNotFound)?;
		ensure!(stream.status == Status::Open, Error::<T>::StreamClosed);
		Self::check_duration(caps.duration)?;
		ensure!(
			stream.viewers < T::MaxViewersPerStream::get(),
			Error::<T>::TooManyViewers
		);
		let now = Self::now();
		let last = LastJoin::<T>::get(stream_id, &viewer);
		let join = last.checked_add(1).ok_or(Error::<T>::Overflow)?;
		let expires_at = now.saturating_add(caps.duration);
		if let Some(mut before) = Sessions::<T>::get((stream_id, &viewer, last)) {
			if before.ended_at.is_none() && now < before.expires_at {
				before.ended_at = Some(now);
				Sessions::<T>::insert((stream_id, &viewer, last), before);
				let viewer = viewer.clone();
				Self::deposit_event(Event::SessionEnded {
					stream_id,
					viewer,
					join: last,
				});
			}
		}
		let Limit {
			max_spend, max_price, ..
		} = caps;
		let session = Session {
			max_spend,
			max_price,
			joined_at: now,
			expires_at,
			ended_at: None,
			ticks: 0,
			amount: 0,
			by_price: BoundedVec::new(),
		};
		Sessions::<T>::insert((stream_id, &viewer, join), session);
		LastJoin::<T>::insert(stream_id, &viewer, join);
		stream.viewers += 1;
		StreamInfo::<T>::insert(stream_id, stream);
		Self::deposit_event(Event::SessionOpened {
			stream_id,
			viewer: viewer.clone(),
			join,
			max_spend,
			max_price,
			expires_at,
		});
		Self::deposit_event(Event::ViewerJoined { stream_id, viewer });
		Ok(())
	}
}
