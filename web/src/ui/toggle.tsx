// The round switches under a picture. The name never changes; aria-pressed and the picture tell the state.

import { Icon, type IconName } from "./icons.tsx";

export interface ToggleProps {
  name: string;
  icon: IconName;
  on: boolean;
  /** Off is the state to notice (microphone, camera); otherwise on is (screen). */
  warnWhen: "off" | "on";
  onToggle(): void;
}

export function Toggle({ name, icon, on, warnWhen, onToggle }: ToggleProps) {
  const marked = (warnWhen === "off") !== on;
  return (
    <button type="button" class={`toggle${marked ? " marked" : ""}`} aria-pressed={on} onClick={onToggle}>
      <Icon name={icon} off={warnWhen === "off" && !on} />
      <span>{name}</span>
    </button>
  );
}
