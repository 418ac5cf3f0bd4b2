//! A server on a loopback port, as its clients meet it. One program, so that all of it is linked once.

mod access;
mod broken;
mod certificate;
mod clients;
mod conformance;
mod dav;
mod dav_access;
mod dav_s3;
mod delta;
mod edit;
mod entries;
mod hashes;
mod index;
mod index_kept;
mod links;
mod metrics;
mod quic;
mod quic_answers;
mod replay;
mod resume;
mod schemathesis;
mod share;
mod slow;
mod support;
