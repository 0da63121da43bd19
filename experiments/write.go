package experiments

import (
	"fmt"
	"io"
	"os"

	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/figures"
	"github.com/deepuncertainty/ddu/experiments/report"
	"github.com/deepuncertainty/ddu/nn/checkpoint"
)

// write puts result files and figures into the run folder.
func write(cfg *config.Config, f Folder, runs []*report.Run) (*Summary, error) {
	name := fmt.Sprintf("%s_%d", cfg.Model.RunName(), cfg.Seed)
	files, err := report.Results(name, runs, cfg.Settings())
	if err != nil {
		return nil, err
	}
	s := &Summary{Folder: f, Dataset: runs[0].Dataset}
	for _, file := range files {
		if err := writeBytes(f.path(file.Name), file.Data); err != nil {
			return nil, err
		}
		s.Results = append(s.Results, file.Name)
	}
	for i, run := range runs {
		pictures, err := report.Pictures(run)
		if err != nil {
			return nil, err
		}
		suffix := ""
		if len(runs) > 1 {
			suffix = fmt.Sprintf("_run%d", i+1)
		}
		for _, p := range pictures {
			if err := writeFigure(f, p.Name+suffix, p.Figure); err != nil {
				return nil, err
			}
		}
	}
	s.Rows, err = report.Rows(runs)
	return s, err
}

// drawCurves draws loss and accuracy over the epochs of one network.
func drawCurves(f Folder, cfg *config.Config, history []EpochMetrics) error {
	epochs := make([]figures.Epoch, len(history))
	for i, m := range history {
		epochs[i] = figures.Epoch{Number: m.Epoch, Train: figures.Quality{Loss: m.TrainLoss, Accuracy: m.TrainAccuracy}}
		if m.ValidationLoss != nil && m.ValidationAccuracy != nil {
			epochs[i].Validation = &figures.Quality{Loss: *m.ValidationLoss, Accuracy: *m.ValidationAccuracy}
		}
	}
	figure, err := figures.Curves(fmt.Sprintf("%s on %s", cfg.Model.RunName(), cfg.Data.Name), epochs)
	if err != nil {
		return err
	}
	return writeFigure(f, "curves", figure)
}

func writeFigure(f Folder, name string, figure *figures.Figure) error {
	png, err := figure.PNG()
	if err != nil {
		return fmt.Errorf("figure %s: %w", name, err)
	}
	if err := os.MkdirAll(f.path("figures"), 0o755); err != nil {
		return err
	}
	return writeBytes(f.path("figures", name+".png"), png)
}

func writeBytes(path string, data []byte) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
