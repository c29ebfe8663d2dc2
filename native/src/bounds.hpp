// Why no row of the true answer is ever dropped.
//
// Notation. q: the query, x: a row, both as stored float32; Q = |q|; M > 0 the
// segment's unit (cosine: M is the row's own norm); Y at least |x| / M
// (cosine: 1); v = 2^-24. p and y are the float32 vectors that rotate() gives
// for q / Q and x / |x|, the latter times |x| / M. With the exact matrix B of
// the basis, H = at least |B'B - 1| and F = rotation_error(),
//   |p - B q / Q| <= F,  |y - B x / M| <= F Y, so
//   <q, x> / (Q M) <= <p, y> + (H + 2.1 F) Y                            (0)
// as |p| and |y| / Y are at most 1.001 (H <= 2^-10 is required, F < 2^-11).
// Their dimensions are parted into a head and a rest, which may be empty; an
// index h or r marks each part. In each, the codes are
//   p = t a + e      t float32, a integers in [-127, 127], |e| <= E
//   y = s c + z      s float32, c odd integers, the least-squares s
//   z = s2 c2 + z2
// with N >= |t a|, P >= |p_r|, W >= |y_r|, and N, E, z2 without an index those
// of both parts together. e, z and z2 are computed in double from the float32
// p and y, exact integers and float32 scales, off by less than 2^-44 of |p|
// or |y|.
//
// The sieve, with a rest. <p, y> = <p_h, y_h> + <p_r, y_r>, and
//   <p_h, y_h> = <t a, s c> + <t a, z> + <e, y_h>
//   est = <t a, s c> = s t <a, c>, and <a, c> / 2 = <a, u> - 7.5 sum(a) is
//   exact in float32: an integer below 2^23 (127 * 15 * 4096 = 7,802,880) less
//   a multiple of 1/2 below 2^22. Hence
//     <p, y> <= est_h + N_h |z_h| + P W + E Y                            (1)
// The sieve, without a rest. With the unit vector h = c / |c|, alpha =
//   <t a, h> = est / |s c|, the part of t a across c has norm
//   sqrt(|t a|^2 - alpha^2), so <t a, z> <= sqrt(N^2 - alpha^2) |z| + |alpha|
//   |<h, z>|. s is the least-squares scale rounded to float32, so z is
//   orthogonal to c but for |<h, z>| <= v |s c| + 2^-44 |y| <= 2 v |y|:
//     <p, y> <= est + sqrt(N^2 - alpha^2) |z| + (E + 4 v) Y              (2)
// The octets of the head have an s, c and z of their own: a row's u is c + 128.
//   <a, c> = <a, u> - 128 sum(a) is exact in int32 (255 * 127 * 4096 < 2^27)
//   and is rounded once to float32. (1) holds for them, with P = 0 where there
//   is no rest, and so does (3).
// The first planes of both parts:
//     <p, y> <= est_h + est_r + N_h |z_h| + N_r |z_r| + E Y              (3)
// Both planes of both parts, est2 = s2 t <a, c2>:
//     <p, y> <= est_h + est_r + est2_h + est2_r + N |z2| + E Y           (4)
//
// Downwards. What (1), (3), (4), (0) and the rounding below add to an estimate
// bounds how far <p, y> and <q, x> / (Q M) are from it to either side, as each
// is an absolute value. So 2 est - upper, less 2^-20 for its own rounding and
// the canonical score's, is a lower bound, and the k-th best of these of any k
// rows is one of the k-th best score. It is not used for l2, where upper also
// has a term that is no error.
//
// Rounding of (1) to (4) in float32, N <= 1.3. Each estimate has at most four
// roundings, 4.01 v |est|, and the |est| of a part are at most N
// Y; alpha too has three, 1/|c| among them, so alpha^2 is off by at most 7.1 v
// N^2 and N^2 - alpha^2 by v N^2 more; N^2 is stored times (1 + 2^-18) = (1 +
// 64 v), which covers both, so the root's argument is never too small.
// Products with a residual or W (stored times 1 + 2^-20 = 1 + 16 v) lose at
// most 3 v, which that covers. At most seven additions lose v times a partial
// sum of at most 6 N Y + weight |y|^2 / 2 each. In all less than 72 v N Y, plus
// 8 v times the l2 term. The error that is added is
//   R = E (1 + 2^-8) + 2^-17 + H + 2.1 F,
// where 2^-17 is 128 v, and the l2 weight is taken times (1 - 2^-20): both
// cover what they must. Underflow: rows with |y| < 2^-60 get s = s2 = 0 and
// 2^-60 for each of |z|, |z2|, W and Y, which bounds <p, y> by the sum of two
// of them; other products that underflow lose 2^-149, and R Y >= 2^-107.
//
// The sieve works in units of 2t of the head: all its constants are divided by
// 2t in double and rounded up (the l2 weight down), and so is the threshold,
// downwards, from which R was taken before where all Y are 1. Going back, a
// bound is multiplied by 2t: one more v of it.
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
