#pragma once

namespace smelt {

/// Removes the temporary files and folders of everything that this process has not finished. For a program that is about to end on a
/// signal: afterwards unfinished work cannot go on, and whatever would begin or end some waits forever. Call it from an ordinary thread
/// (one in sigwait, say), not from a signal handler.
void remove_unfinished();

}  // namespace smelt
