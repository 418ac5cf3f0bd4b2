//! Looking inside archives that real tools have made, and inside such that nobody honest would make.

#[path = "archive/hostile.rs"]
mod hostile;
#[path = "archive/tar.rs"]
mod tar;
#[path = "archive/tools.rs"]
mod tools;
#[path = "archive/zip.rs"]
mod zip;
