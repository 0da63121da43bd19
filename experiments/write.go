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

// write puts result files and figures into the run folder and sums the run up.
func write(cfg *config.Config, f Folder, runs []*report.Run) (*Summary, error) {
	s, err := sumUp(cfg, f, runs)
	if err != nil {
		return nil, err
	}
	files, err := resultFiles(cfg, runs)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := writeBytes(f.path(file.Name), file.Data); err != nil {
			return nil, err
		}
		s.Results = append(s.Results, file.Name)
	}
	return s, writePictures(f, runs)
}

// sumUp makes the table of a run.
func sumUp(cfg *config.Config, f Folder, runs []*report.Run) (*Summary, error) {
	s := &Summary{Folder: f, Dataset: runs[0].Dataset}
	s.addModels(cfg)
	var err error
	s.Rows, err = report.Rows(runs)
	return s, err
}

func resultFiles(cfg *config.Config, runs []*report.Run) ([]report.File, error) {
	return report.Results(fmt.Sprintf("%s_%d", cfg.Model.RunName(), cfg.Seed), runs, cfg.Settings())
}

func writePictures(f Folder, runs []*report.Run) error {
	for i, run := range runs {
		pictures, err := report.Pictures(run)
		if err != nil {
			return err
		}
		suffix := ""
		if len(runs) > 1 {
			suffix = fmt.Sprintf("_run%d", i+1)
		}
		for _, p := range pictures {
			if err := writeFigure(f, p.Name+suffix, p.Figure); err != nil {
				return err
			}
		}
	}
	return nil
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
	if err := os.MkdirAll(f.path("figures"), 0o755); err != nil {
		return err
	}
	for _, file := range []string{name + ".png", name + ".svg"} {
		if err := writeFigureFile(f.path("figures", file), figure); err != nil {
			return err
		}
	}
	return nil
}

// writeFigureFile writes PNG or SVG, as the extension says.
func writeFigureFile(path string, figure *figures.Figure) error {
	data, err := figure.Encode(path)
	if err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	return writeBytes(path, data)
}

func writeBytes(path string, data []byte) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
