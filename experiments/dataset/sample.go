package dataset

import "embed"

// sampleFiles is real data that needs no download: the first 10,000 training
// and 2,000 test images of MNIST and the first 2,000 test images of
// Fashion-MNIST, as idx files. sample/LICENSE.md has their licences,
// internal/makesample makes them.
//
//go:embed sample/*.gz
var sampleFiles embed.FS
