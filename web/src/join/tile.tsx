// One tile of the call.

import { initials, type Tile } from "../call/view.ts";
import type { Recorded } from "../signaling/messages.ts";
import { t } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { Picture } from "../ui/media.tsx";

export function TileView({ tile }: { tile: Tile }) {
  const { participant } = tile;
  const name = tile.kind === "screen" ? t("call.tile.screen", { name: participant.name }) : participant.name;
  return (
    <figure
      class={`tile ${tile.kind}${tile.video ? "" : " bare"}`}
      data-testid="tile"
      data-participant={participant.id}
      data-kind={tile.kind}
    >
      {tile.video ? (
        <Picture
          key={tile.video.trackId}
          track={tile.video.track}
          participant={participant.id}
          source={tile.video.source}
          label={tile.kind === "device" ? t("call.tile.device", { name: participant.name }) : name}
          testId="remote-video"
        />
      ) : (
        <div class="initials" aria-hidden="true">
          <span>{initials(participant.name)}</span>
        </div>
      )}
      <Trouble tile={tile} />
      <figcaption>
        {tile.microphoneOff && (
          <span class="off" title={t("call.tile.muted")} data-testid="muted">
            <Icon name="microphone" off />
            <span class="sr">{t("call.tile.muted")}</span>
          </span>
        )}
        <span class="name">{name}</span>
        {tile.kind !== "screen" && <RecordedMark recorded={participant.recorded} />}
      </figcaption>
    </figure>
  );
}

function Trouble({ tile }: { tile: Tile }) {
  const { trouble, cameraOff } = tile;
  const text =
    trouble === "connecting"
      ? t("call.connecting")
      : trouble
        ? t(`call.tile.${trouble}`)
        : cameraOff
          ? t("call.tile.camera_off")
          : "";
  return (
    <p class={`tile-note${tile.video ? " over" : ""}`} role="status">
      {text}
    </p>
  );
}

/** What is true of one person's recording; in red when it should run and does not. */
export function RecordedMark({ recorded }: { recorded: Recorded }) {
  return (
    <span class={`recorded ${recorded}`} data-testid="recorded" data-recorded={recorded}>
      {recorded === "yes" && <span class="dot" aria-hidden="true" />}
      {t(`recorded.${recorded}`)}
    </span>
  );
}
