//! The ports between the rooms and the tasks that run between them.
