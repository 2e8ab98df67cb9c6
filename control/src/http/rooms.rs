//! `/v1/rooms`: the built-in signaling seen from outside.

use axum::{Json, extract::State, http::StatusCode};

use super::{Answer, InPath, Shared};
use crate::{api::ErrorBody, error::ApiError, rooms::RoomView};

/// Every room with its peers.
#[utoipa::path(
    get, path = "/v1/rooms", tag = "rooms",
    responses((status = 200, body = Vec<RoomView>), (status = "default", body = ErrorBody))
)]
pub(super) async fn list(State(service): Shared) -> Json<Vec<RoomView>> {
    let state = service.state();
    let rooms = state.rooms.iter();
    Json(
        rooms
            .map(|room| RoomView::new(room, &state.model))
            .collect(),
    )
}

/// A room with its peers.
#[utoipa::path(
    get, path = "/v1/rooms/{room}", tag = "rooms", params(("room" = String, Path)),
    responses((status = 200, body = RoomView), (status = "default", body = ErrorBody))
)]
pub(super) async fn dump(
    State(service): Shared,
    InPath(room): InPath<String>,
) -> Answer<Json<RoomView>> {
    let state = service.state();
    let found = state.rooms.get(&room);
    let found = found.ok_or_else(|| ApiError::not_found("room", &room))?;
    Ok(Json(RoomView::new(found, &state.model)))
}

/// Throws a peer out.
#[utoipa::path(
    delete, path = "/v1/rooms/{room}/peers/{peer}", tag = "rooms",
    params(("room" = String, Path), ("peer" = String, Path)),
    responses((status = 204), (status = "default", body = ErrorBody))
)]
pub(super) async fn kick(
    State(service): Shared,
    InPath((room, peer)): InPath<(String, String)>,
) -> Answer<StatusCode> {
    service
        .kick(&room, &peer, "You were removed by the operator.")
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
