//! nginx with a directory index, WebDAV, and TLS.
