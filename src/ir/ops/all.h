#pragma once

// The one list of op families.
#include "ir/ops/attention.h"
#include "ir/ops/conv.h"
#include "ir/ops/elementwise.h"
#include "ir/ops/matmul.h"
#include "ir/ops/norm.h"
#include "ir/ops/pool.h"
#include "ir/ops/quant.h"
#include "ir/ops/reduce.h"
#include "ir/ops/resample.h"
#include "ir/ops/rnn.h"
#include "ir/ops/shape.h"
