// Package placement decides beforehand which device computes what: how many of a
// model's layers each GPU takes, in how many processes, with which batches, and
// how many bytes that needs there.
//
// A model that fits one GPU gets one process for each GPU that it fits, all over
// one queue. One that fits several GPUs together is split among them by layers.
// One that fits not even those leaves its first layers in the computer's memory.
// Everything here is arithmetic: what the GPUs are and what they have free is
// given, and nothing of it is asked for.
package placement
