//! What an HMI finds when it browses.
