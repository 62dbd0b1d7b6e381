// The device tests of the mat-vec: each prints what failed and returns how many cases did.
#pragma once

#include <reset/gemv/policy.hpp>

// Every M with every kind of activation; outputs, epilogues, layouts, strides and alignments in turn.
int test_combinations(const reset::DeviceInfo& device, bool reduced);
// Shapes that models and shards have, the ring kernel's every instantiation among them.
int test_shapes(const reset::DeviceInfo& device, bool reduced);
// Weights that are part of a larger scale tensor, of either layout, whose other scales are NaN.
int test_scale_tensors(const reset::DeviceInfo& device, bool reduced);
// Policies that the selector would not choose.
int test_policies(const reset::DeviceInfo& device, bool reduced);
// Numbers at the limits of their formats, and what is not a number.
int test_ranges(const reset::DeviceInfo& device, bool reduced);
// A policy that is pinned gives a row the same bits, whatever the other tokens.
int test_rows_are_independent(const reset::DeviceInfo& device, bool reduced);
// The same bits again and again, with and without dependent launch, and from two streams at once.
int test_determinism(const reset::DeviceInfo& device, bool reduced);
// Captured once, replayed with other inputs in the same memory.
int test_graph(const reset::DeviceInfo& device);
// Every kernel behind one whose result it reads, with and without dependent launch; quantisers and mat-vecs in turn.
int test_chains(const reset::DeviceInfo& device, bool reduced);
// Kernels compiled by their names: the same bits from a few as from all, refusals of the others.
int test_instances(const reset::DeviceInfo& device);
// What cannot be served launches nothing and says why.
int test_refusals(const reset::DeviceInfo& device);
// Not by default: every policy of kTensorRing that a shape allows, again and again in chains of dependent launches.
int test_stress(const reset::DeviceInfo& device);
