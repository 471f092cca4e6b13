// SPDX-License-Identifier: MIT
//
// The triangular factor of a small covariance matrix, and the distance that it measures.
//
// For a symmetric positive definite matrix A = L L^T (Cholesky), the squared Mahalanobis distance z^T A^-1 z
// is the squared length of the solution y of L y = z: one forward substitution, no inverse.
#pragma once

#include "signals.hpp"

#include <array>
#include <cmath>
#include <cstddef>

namespace leak {

using SignalMatrix = std::array<std::array<double, signals_count>, signals_count>;  // [row][column]

/// The lower factor of `matrix`, of which only the lower triangle is read. The matrix must be positive
/// definite: a caller adds a ridge to the diagonal where it might not be.
inline SignalMatrix lower_factor(const SignalMatrix& matrix) {
    SignalMatrix factor{};
    for (std::size_t row = 0; row < signals_count; ++row) {
        for (std::size_t column = 0; column <= row; ++column) {
            double sum = matrix[row][column];
            for (std::size_t k = 0; k < column; ++k) sum -= factor[row][k] * factor[column][k];
            factor[row][column] = row == column ? std::sqrt(sum) : sum / factor[column][column];
        }
    }
    return factor;
}

inline double squared_distance(const SignalMatrix& factor, const SignalValues& values) {
    SignalValues solved{};
    double distance = 0;
    for (std::size_t row = 0; row < signals_count; ++row) {
        double sum = values[row];
        for (std::size_t k = 0; k < row; ++k) sum -= factor[row][k] * solved[k];
        solved[row] = sum / factor[row][row];
        distance += solved[row] * solved[row];
    }
    return distance;
}

}  // namespace leak
