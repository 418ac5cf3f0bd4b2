//! The trash: what lies in it is told, comes back without anything being lost, and goes when its time has come. On a disk
//! and in memory, and on a store that keeps no directories.

mod emptying;
mod place;
mod restoring;
