// Why no row of the true answer is ever dropped.
//
// Notation. q: the query, x: a row, both as stored float32; y = R x / M with
// the exact orthogonal R of rotation.hpp and the segment's unit M > 0 (cosine:
// M is the row's own norm, so |y| = 1). p = R q / |q|, so |p| = 1. Codes:
//   p = t a + e      t float32, a integers in [-127, 127], |e| <= E
//   y = s c + r      s float32, c odd integers, the least-squares s
//   r = s2 c2 + r2
// All of p, y, e, r, r2 are computed in double from exact integers and
// float32 scales; the double arithmetic is off by less than 2^-44 |y| (or
// |p|), rotation included, which is inside the slack below.
//
// First stage. <p, y> = <t a, s c> + <t a, r> + <e, y>.
//   est = <t a, s c> = s t <a, c>, and <a, c> = 2 <a, u> - 15 sum(a) is an
//   exact integer below 2^23 (127 * 15 * 4096 = 7,802,880), exact in float32.
//   With the unit vector h = c / |c|, alpha = <t a, h> = est / |s c|, the part
//   of t a across c has norm sqrt(|t a|^2 - alpha^2), so
//   <t a, r> <= sqrt(N^2 - alpha^2) |r| + |alpha| |<h, r>|,   N >= |t a|.
//   s is the least-squares scale rounded to float32, so r is orthogonal to c
//   but for |<h, r>| <= 2^-24 |s c| + 2^-44 |y| <= 2^-23 |y|.
//   Hence, with |y| <= Y and N <= 1.3:
//     <p, y> <= est + sqrt(N^2 - alpha^2) |r| + (E + 2^-22) Y          (1)
// Second stage. <p, y> = <t a, s c> + <t a, s2 c2> + <t a, r2> + <e, y>, so
//     <p, y> <= est + s2 t <a, c2> + N |r2| + E Y                      (2)
//
// Rounding of (1) and (2) in float32, v = 2^-24. est: two products, 2.01 v
// |est|; |est| <= N |s c| <= N Y. alpha: three roundings (1/|c| among them),
// so alpha^2 is off by at most 7.1 v N^2 and N^2 - alpha^2 by v N^2 more; N^2
// is stored times (1 + 2^-18) = (1 + 64 v), which covers both, so the root's
// argument is never too small. Root, product with |r| (stored times 1 +
// 2^-20) : the inflation of |r| by 16 v covers the 3 v. The at most four
// additions each lose v times a partial sum of at most 4 N Y + weight |y|^2/2
// . In all less than 32 v N Y, plus 8 v times the l2 term. R = E + 2^-17 =
// E + 128 v, and the l2 weight is taken times (1 - 2^-20): both cover twice
// what they must. Underflow: rows with |y| < 2^-60 get s = s2 = 0, |r| = |r2|
// = Y = 2^-60; every other product above is at least 2^-120 or exactly 0.
//
// What is compared. Let K be the k-th best canonical score so far (a lower
// bound of the true k-th best once k rows were scored), S the canonical score
// of a row. A row that can still enter has S >= K (equality: ties by id).
//   ip      S is within 2^-45 |q| |x| of <q, x> = |q| M <p, y>; need
//           <p, y> >= K / (|q| M) - 2^-45 Y, the last inside the slack
//   cosine  S = dot / (|q| |x|) in double with three more roundings, |S| <=
//           1 + 2^-44; need <p, y> >= K - 2^-44
//   l2      S = D = |q - x|^2 (1 +- 2^-44). D <= K gives <q, x> - |x|^2 / 2 =
//           (|q|^2 - |q - x|^2) / 2 >= (|q|^2 - K (1 + 2^-43)) / 2; all in
//           units of G = max(|q|, M) M: the query's t, N, R are multiplied
//           by |q| / max(|q|, M) and |y|^2 / 2 by M / max(|q|, M).
// The threshold is formed in double, lowered by 2^-43 of its parts, and
// rounded to float32 downwards. Rows are kept if upper >= threshold, ">=" and
// never ">". If |q| / max(|q|, M) < 2^-30, or |q| = 0, the segment is scored
// without codes. Nothing here depends on how good the codes are.
#pragma once
