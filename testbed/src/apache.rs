//! Apache with a directory index.
