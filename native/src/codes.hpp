// Encodes the rows of a segment.
#pragma once

#include "layout.hpp"
#include "pool.hpp"

namespace reconciler {

// Where the codes go; arrays as Side and Codes describe them, whole blocks
// long and zeroed by the caller. norm and half_square may be nullptr where
// the metric needs none, those of the rest where the basis has none.
struct CodeArrays {
  std::uint8_t* head;
  std::uint8_t* rest;
  std::uint8_t* low;
  std::uint8_t* octets;
  float* scale;
  float* inverse_norm;
  float* residual;
  float* rest_size;
  float* norm;
  float* half_square;
  float* rest_scale;
  float* rest_residual;
  float* low_scale;
  float* low_rest_scale;
  float* low_residual;
  float* octet_scale;
  float* octet_residual;
};

// The Euclidean norm of every row.
void row_norms(const float* rows, std::size_t count, std::size_t dim,
               double* norms);

// Fills the arrays and returns the segment's unit.
double encode_rows(const float* rows, const double* norms, std::size_t count,
                   std::size_t dim, Metric metric, const Basis& basis,
                   const CodeArrays& out, Pool& pool);

}  // namespace reconciler
