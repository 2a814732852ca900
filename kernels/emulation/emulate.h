// CUDA for g++: as much of it as the kernels here use, run on the processor, so
// that every device test runs without a GPU. launch.cuh includes this.
//
// A launch runs its blocks one after the other. A block's threads are fibers of
// one OS thread: one runs until it ends or waits at a barrier, a shuffle or
// another operation of its warp. Every other launch of a kernel takes blocks and threads
// backwards, so that a result that hangs on their order, as it does where a
// barrier is missing, comes out differently.
//
// Found, and reported as an error of the launch with its text on stderr:
//   - threads of a block that wait at different barriers, or that end while others
//     wait; lanes of a warp that do not all arrive where the mask says
//   - lanes that shuffle from a lane that takes no part
//   - writes beyond or before an allocation of device memory (up to 4 KiB away)
//   - indices beyond an array of known size, misaligned and null pointers, shifts
//     and signed sums that overflow, divisions by zero (by -fsanitize)
//   - grids, blocks and shared memory larger than a GPU takes
// Device memory and shared memory that nothing has written yet are full of NaN.
//
// Not found: races between blocks, and what depends on the memory model, the
// scheduler or the caches of a GPU; reads beyond an allocation, but for the NaN
// they give; the order of additions within a tensor core (here by k, ascending);
// anything about speed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>

#include "types.h"
#include "runtime.h"
#include "intrinsics.h"
#include "wmma.h"
