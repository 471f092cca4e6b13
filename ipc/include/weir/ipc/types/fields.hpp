// SPDX-License-Identifier: MIT
//
// The types of a structure's fields, found by the compiler.
//
// C++20 cannot be asked for them. But an aggregate can be taken apart by a structured binding, if one knows into how
// many parts; and it can be initialised with as many pairs of braces as it has fields, and not with one more. A pair of
// braces always stands for one field, be it a number, an array or another structure. So the fields are counted first, and
// then bound: both need a line for each number. A structure with more fields than there are lines is described by hand
// (RecordTraits in layout.hpp) or divided.
//
// Nothing here runs. A bit-field, a packed field and an anonymous union end the compilation with a message of the
// compiler's own, which names them.
#pragma once

#include <cstddef>
#include <type_traits>

namespace weir::ipc {

/// The types of the fields of a record, in order.
template <class... F>
struct RecordFields {
    static constexpr std::size_t count = sizeof...(F);
};

/// How many fields a structure may have to be taken apart.
inline constexpr std::size_t fields_max = 32;

namespace fields {

// Becomes whatever T is derived from, and nothing else.
template <class T>
struct AnyBase {
    template <class U>
        requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>)
    operator U() const noexcept;
};

/// Bases come before fields in an aggregate.
template <class T>
concept HasBase = requires {
    T{AnyBase<T>{}};
};

/// Of an aggregate without bases; fields_max + 1: more than that. A field that can only be initialised by the structure
/// itself hides all from it on.
template <class T>
consteval std::size_t count() noexcept {
    if constexpr (requires {
                      T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                  })
        return fields_max + 1;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 32;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 31;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 30;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 29;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 28;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 27;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 26;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 25;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 24;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 23;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 22;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                             {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 21;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 20;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 19;
    else if constexpr (requires {
                           T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
                       })
        return 18;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 17;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 16;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 15;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 14;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 13;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 12;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 11;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 10;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}}; })
        return 9;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}, {}}; })
        return 8;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}, {}}; })
        return 7;
    else if constexpr (requires { T{{}, {}, {}, {}, {}, {}}; })
        return 6;
    else if constexpr (requires { T{{}, {}, {}, {}, {}}; })
        return 5;
    else if constexpr (requires { T{{}, {}, {}, {}}; })
        return 4;
    else if constexpr (requires { T{{}, {}, {}}; })
        return 3;
    else if constexpr (requires { T{{}, {}}; })
        return 2;
    else if constexpr (requires { T{{}}; })
        return 1;
    else
        return 0;
}

// Takes no bit-field.
template <class... F>
constexpr RecordFields<std::remove_const_t<F>...> types(F&...) noexcept {
    return {};
}

/// Never called; what it returns is the answer.
template <class T>
auto of(T& record) noexcept {
    constexpr std::size_t fields = count<T>();
    static_assert(fields <= fields_max);
    if constexpr (fields == 0)
        return RecordFields<>{};
    else if constexpr (fields == 1) {
        auto& [a] = record;
        return types(a);
    } else if constexpr (fields == 2) {
        auto& [a, b] = record;
        return types(a, b);
    } else if constexpr (fields == 3) {
        auto& [a, b, c] = record;
        return types(a, b, c);
    } else if constexpr (fields == 4) {
        auto& [a, b, c, d] = record;
        return types(a, b, c, d);
    } else if constexpr (fields == 5) {
        auto& [a, b, c, d, e] = record;
        return types(a, b, c, d, e);
    } else if constexpr (fields == 6) {
        auto& [a, b, c, d, e, f] = record;
        return types(a, b, c, d, e, f);
    } else if constexpr (fields == 7) {
        auto& [a, b, c, d, e, f, g] = record;
        return types(a, b, c, d, e, f, g);
    } else if constexpr (fields == 8) {
        auto& [a, b, c, d, e, f, g, h] = record;
        return types(a, b, c, d, e, f, g, h);
    } else if constexpr (fields == 9) {
        auto& [a, b, c, d, e, f, g, h, i] = record;
        return types(a, b, c, d, e, f, g, h, i);
    } else if constexpr (fields == 10) {
        auto& [a, b, c, d, e, f, g, h, i, j] = record;
        return types(a, b, c, d, e, f, g, h, i, j);
    } else if constexpr (fields == 11) {
        auto& [a, b, c, d, e, f, g, h, i, j, k] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k);
    } else if constexpr (fields == 12) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l);
    } else if constexpr (fields == 13) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m);
    } else if constexpr (fields == 14) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
    } else if constexpr (fields == 15) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
    } else if constexpr (fields == 16) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
    } else if constexpr (fields == 17) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q);
    } else if constexpr (fields == 18) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r);
    } else if constexpr (fields == 19) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s);
    } else if constexpr (fields == 20) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t);
    } else if constexpr (fields == 21) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u);
    } else if constexpr (fields == 22) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v);
    } else if constexpr (fields == 23) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w);
    } else if constexpr (fields == 24) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x);
    } else if constexpr (fields == 25) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y);
    } else if constexpr (fields == 26) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z);
    } else if constexpr (fields == 27) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa);
    } else if constexpr (fields == 28) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab);
    } else if constexpr (fields == 29) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac] =
            record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab,
                     ac);
    } else if constexpr (fields == 30) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad] =
            record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
                     ad);
    } else if constexpr (fields == 31) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad,
               ae] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
                     ad, ae);
    } else if constexpr (fields == 32) {
        auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad,
               ae, af] = record;
        return types(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac,
                     ad, ae, af);
    }
}

}  // namespace fields
}  // namespace weir::ipc
