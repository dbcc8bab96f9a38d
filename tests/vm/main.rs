//! Machines boot what the project builds. Each test names what it proves.

mod both_ways;
mod catalogues;
mod demo;
mod devices;
mod direct;
mod faults;
mod guests;
mod images;
mod kernels;
mod load;
mod media;
mod networks;
mod qcow2;
mod recipes;
mod refusals;
mod shares;
mod toolstack;
