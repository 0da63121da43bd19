// Package uncertainty turns logits and features of a deterministic network
// into calibrated uncertainty: Deep Deterministic Uncertainty (Mukhoti, Kirsch,
// van Amersfoort, Torr, Gal, CVPR 2023).
//
//   - Scores of logits: [SoftmaxEntropy], [MaxSoftmax], [Energy]; of ensembles:
//     [PredictiveEntropy], [MutualInformation].
//   - The density of features, one Gaussian per class: [GaussianFit] gathers
//     moments in one streaming pass, [Density] scores.
//   - Calibration: [Accuracy], [NLL], [Brier], [ECE], [Reliability],
//     [FitTemperature].
//   - Judging scores: [OODMetrics], [ROC], [AUROC], [AveragePrecision],
//     [RiskCoverage].
//
// It needs no network of this module: everything works on a [Matrix], a view of
// row-major float32 or float64 numbers. All arithmetic is float64. Entropies
// are in nats, fractions in [0, 1]. Results have the same bits for any number
// of threads. Functions are safe for concurrent use unless they change their
// receiver. Bad input is an error that names what was found and what would be
// right; nothing is ever printed.
package uncertainty
