package stitch

import (
	"consilium/internal/media"
	"consilium/internal/render"
	"consilium/internal/timeline"
)

// ManifestScene says who is where in the picture for a while, so that a player can show one participant alone. Scenes follow
// each other without gaps; they are those of the plan, also where cards stand because a chunk could not be made.
type ManifestScene struct {
	StartFrame int64          `json:"startFrame"` // in it; render.Rate a second
	EndFrame   int64          `json:"endFrame"`   // not in it
	Tiles      []ManifestTile `json:"tiles"`      // empty: nobody is present
}

// ManifestTile is one participant's picture, or the card in its place. One card for everybody names nobody.
type ManifestTile struct {
	Participant string         `json:"participant,omitempty"`
	Source      media.Source   `json:"source,omitempty"` // of the picture; empty: it is a card
	Cause       timeline.Cause `json:"cause,omitempty"`  // of a card, where there is one
	X           int            `json:"x"`                // pixels of the archive
	Y           int            `json:"y"`
	Width       int            `json:"width"`
	Height      int            `json:"height"`
}

// manifestScenes lists the scenes of a plan; one without a picture has none.
func manifestScenes(p *render.Plan) []ManifestScene {
	if !p.Profile.Video {
		return nil
	}
	all := make([]ManifestScene, 0, len(p.Scenes))
	for _, s := range p.Scenes {
		scene := ManifestScene{StartFrame: s.Start, EndFrame: s.End, Tiles: []ManifestTile{}}
		for _, t := range s.Tiles {
			scene.Tiles = append(scene.Tiles, manifestTile(t))
		}
		all = append(all, scene)
	}
	return all
}

func manifestTile(t render.Tile) ManifestTile {
	out := ManifestTile{Participant: t.Participant, Cause: t.Cause}
	place := t.Cell
	if t.Picture != nil {
		out.Source, place = t.Picture.Source, t.Picture.Rect
	}
	out.X, out.Y, out.Width, out.Height = place.Min.X, place.Min.Y, place.Dx(), place.Dy()
	return out
}
