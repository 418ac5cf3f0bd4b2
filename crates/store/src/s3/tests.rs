//! Against real servers, with sizes that make a small object a large one.
