//! What only folders of this machine can show: races with other programs, full disks, odd files.

mod copy;
mod killed;
mod links;
mod odd;
mod races;
mod refused;
mod tools;
mod watch;
