//! The panel API: JSON over mTLS for the panel, over a Unix socket for the command line.
//!
//! `routes` is the table of all calls; the router and the OpenAPI document are loops over it.

mod adapters;
mod audit;
mod call;
mod catalogue;
mod explain;
mod files;
mod gateway_links;
mod hostings;
mod idempotency;
mod instances;
mod jobs;
mod limits;
pub(crate) mod listen;
mod metrics;
mod openapi;
mod operations;
mod page;
pub(crate) mod peer;
mod people;
mod reply;
mod routes;
mod sessions;
mod shares;
mod state;
mod status;
mod statuses;

#[cfg(test)]
pub(crate) use openapi::document as openapi_document;
