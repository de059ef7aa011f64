// Where access-log lines go: each worker has a ring of its own to each destination, without locks; one thread writes them
// in batches, within which lines of different workers may change places. A worker never waits: when a ring is full,
// because the disk is, or because nobody reads the pipe, its lines are lost and counted.
#ifndef WEIR_HOST_LOG_LOGSINK_H
#define WEIR_HOST_LOG_LOGSINK_H

#include "base/slice.h"

struct logsink;         // of the process
struct logsink_channel; // of one worker and one destination

// Starts no thread yet. NULL without memory.
struct logsink *logsink_new(void);
// Writes out what can be written within two seconds, ends the thread, frees all channels. Producers must have stopped.
void logsink_free(struct logsink *take_sink);
// The channel of one producer thread to a path ("/dev/stdout", "/dev/stderr" or a file, which is created, mode 0640).
// Lives as long as the sink; asking again for the same worker and path gives the same channel. Any thread may ask. NULL
// when the file can't be opened or without memory: errno says why. Others may write to the same file: all append.
struct logsink_channel *logsink_open(struct logsink *sink, unsigned worker, struct slice path);
// One that was opened before, without a lock; NULL: none was.
struct logsink_channel *logsink_find(struct logsink *sink, unsigned worker, struct slice path);
// Whether it is to that path.
bool logsink_is_to(const struct logsink_channel *channel, struct slice path);
// Whole lines, line feed included. False when there was no room: they are lost and counted.
bool logsink_write(struct logsink_channel *channel, struct slice lines);
// Opens all files anew, after log rotation. Any thread; async-signal-safe. Without it, the next lines
// find the new file within a second when the old one was renamed and another stands there, within two when none does.
void logsink_reopen(struct logsink *sink);
// Lines lost since the start, all channels. Any thread.
uint64_t logsink_lost_lines(const struct logsink *sink);
// Bytes written since the start.
uint64_t logsink_written_bytes(const struct logsink *sink);

#endif
