// SPDX-License-Identifier: MIT
//
// Not for building: messages_check.py gives each line below that ends in a comment to the compiler, all at once, and
// expects the comment's words among what it says (g++ and clang put some of it differently: either is enough).
#include <weir/ipc/types/bounded_string.hpp>

#include <string>

using weir::ipc::require_portable_record;

// clang-format off
struct A { const char* text; };              static_assert(require_portable_record<A>());  //! holds a pointer or reference
struct B { wchar_t letter; };                static_assert(require_portable_record<B>());  //! whose size differs between machines
struct C { long double value; };             static_assert(require_portable_record<C>());  //! a number that not every machine has
enum Loose { loose };
struct D { Loose value; };                   static_assert(require_portable_record<D>());  //! an enum without a fixed underlying type
struct E { volatile int value; };            static_assert(require_portable_record<E>());  //! holds something volatile
struct F { std::array<int, 0> none; int x; }; static_assert(require_portable_record<F>()); //! an array of no or unknown bound
struct G { union { int x; } u; };            static_assert(require_portable_record<G>());  //! holds a union
struct H { std::string text; };              static_assert(require_portable_record<H>());  //! has to be trivially copyable
struct I { int& x; };                        static_assert(require_portable_record<I>());  //! has to be of standard layout
class J { int x = 0; public: int y() const { return x; } J() = default; };
                                             static_assert(require_portable_record<J>());  //! has private fields or constructors
struct K0 { int x; }; struct K : K0 {};      static_assert(require_portable_record<K>());  //! is derived from a class
struct L0 { explicit L0(int x_) : x(x_) {} int x; };
struct L { L0 x; };                          static_assert(require_portable_record<L>());  //! that {} cannot initialise
struct M { char a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad, ae, af, ag; };
                                             static_assert(require_portable_record<M>());  //! has more fields than fields_max
struct N {};                                 static_assert(require_portable_record<N>());  //! holds an empty structure
struct O { char small; int large; };         static_assert(require_portable_record<O>());  //! has padding
struct P { char x; int y; };
struct Deep { int x; P inner[2]; };          static_assert(require_portable_record<Deep>());  //! Deep, 1
struct Q { int large; char small; char middle; };
                                             static_assert(require_portable_record<Q>());  //! <Q, 3UL, 2UL> | before_field = 3; long unsigned int unused_bytes = 2
struct R { char small; char middle; int large; };
                                             static_assert(require_portable_record<R>());  //! <R, 2UL, 2UL> | before_field = 2; long unsigned int unused_bytes = 2
struct Bits { unsigned few : 3; unsigned many : 29; };
                                             static_assert(require_portable_record<Bits>());  //! bit-field
struct S { int x; };
template <> struct weir::ipc::RecordTraits<S> { static constexpr bool same_build = true; };
struct T { S x; };                           static_assert(require_portable_record<T>());  //! keeps to one build
weir::ipc::BoundedString<4> longer = "12345";  //! the literal is too long
