// The fast form of minhash.go for CPUs.
#ifndef WINNOW_MINHASH_FAST_H
#define WINNOW_MINHASH_FAST_H

#include <stdint.h>

// winnow_minhash fills out for n sets, of which set i is values[offsets[i]] to
// values[offsets[i+1]-1]: with the least mul*x+add of each of the permutations, or,
// if bands is not 0, with that many hashes over rows of them. mul and add have
// room for a multiple of 64 permutations; signature, where there are bands, for all
// of them.
void winnow_minhash(uint64_t *out, const uint64_t *values, const int64_t *offsets, int64_t n,
                    const uint64_t *mul, const uint64_t *add, int64_t permutations,
                    int64_t bands, int64_t rows, uint64_t *signature);

#endif
